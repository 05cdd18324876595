# Scripts are only copied: the test needs CMake and a build tool, and no compiler, though project() asks for one.
foreach(_language IN ITEMS C CXX)
  set(CMAKE_${_language}_COMPILER "${CMAKE_COMMAND}")
  set(CMAKE_${_language}_COMPILER_FORCED TRUE)
  set(CMAKE_${_language}_COMPILER_ID_RUN TRUE)
  set(CMAKE_${_language}_COMPILER_ID "None")
endforeach()
