# The package carries the licence and the read-me; Slicer stops where they are named and missing.
foreach(_key IN ITEMS LICENSE README)
  if(NOT EXISTS "${EXTENSION_${_key}_FILE}")
    message(FATAL_ERROR "EXTENSION_${_key}_FILE does not exist: '${EXTENSION_${_key}_FILE}'")
  endif()
endforeach()
