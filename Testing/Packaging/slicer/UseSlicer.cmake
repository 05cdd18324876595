# What an extension gets by including ${Slicer_USE_FILE}: testing switched on, and the macros.
include(CTest)

macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(_module "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(_module_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "slicerMacroBuildScriptedModule() does not know '${_module_UNPARSED_ARGUMENTS}'")
  endif()
  if(NOT _module_NAME)
    message(FATAL_ERROR "slicerMacroBuildScriptedModule() needs a NAME")
  endif()
  set(_folder "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")
  set(_installed "${_folder}/")
  if(_module_WITH_SUBDIR)
    get_filename_component(_name "${CMAKE_CURRENT_SOURCE_DIR}" NAME)
    set(_folder "${_folder}/${_name}")
    set(_installed "${_folder}")
  endif()

  set(_scripts "")
  foreach(_file IN LISTS _module_SCRIPTS)
    # Scripts may be listed without their suffix; Slicer then adds .py, to "py.typed" too.
    get_filename_component(_suffix "${_file}" EXT)
    if(NOT _suffix MATCHES "py")
      string(APPEND _file ".py")
    endif()
    list(APPEND _scripts "${_file}")
  endforeach()
  foreach(_file IN LISTS _scripts _module_RESOURCES)
    if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${_file}")
      message(FATAL_ERROR "slicerMacroBuildScriptedModule() was given '${_file}', which does not exist")
    endif()
  endforeach()

  if(NOT TARGET Copy${_module_NAME})
    set(_copies "")
    set(_copied_scripts "")
    foreach(_file IN LISTS _scripts _module_RESOURCES)
      add_custom_command(
        OUTPUT "${_folder}/${_file}"
        COMMAND "${CMAKE_COMMAND}" -E copy "${CMAKE_CURRENT_SOURCE_DIR}/${_file}" "${_folder}/${_file}"
        DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${_file}"
        VERBATIM
        )
      list(APPEND _copies "${_folder}/${_file}")
    endforeach()
    foreach(_file IN LISTS _scripts)
      list(APPEND _copied_scripts "${_folder}/${_file}")
    endforeach()
    add_custom_target(Copy${_module_NAME} ALL DEPENDS ${_copies})
    if(_copied_scripts)
      list(JOIN _copied_scripts "\n" _lines)
      file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/${_module_NAME}.scripts" "${_lines}\n")
      add_custom_target(Compile${_module_NAME} ALL
        COMMAND "${PYTHON_EXECUTABLE}" -m compileall -q -i "${CMAKE_CURRENT_BINARY_DIR}/${_module_NAME}.scripts"
        VERBATIM
        )
      add_dependencies(Compile${_module_NAME} Copy${_module_NAME})
    endif()
  endif()

  install(DIRECTORY "${_installed}" DESTINATION "${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}" USE_SOURCE_PERMISSIONS)
endmacro()

macro(slicer_add_python_unittest)
  cmake_parse_arguments(_test "" "TESTNAME_PREFIX;SCRIPT" "SLICER_ARGS" ${ARGN})
  get_filename_component(_test_name "${_test_SCRIPT}" NAME_WE)
  get_filename_component(_test_folder "${_test_SCRIPT}" DIRECTORY)
  if(NOT _test_folder)
    set(_test_folder "${CMAKE_CURRENT_SOURCE_DIR}")
  endif()
  # Slicer would notice only when the test runs; here it is noticed at once.
  if(NOT EXISTS "${_test_folder}/${_test_name}.py")
    message(FATAL_ERROR "slicer_add_python_unittest() was given '${_test_SCRIPT}', which is not a file there")
  endif()
  add_test(
    NAME py_${_test_TESTNAME_PREFIX}${_test_name}
    COMMAND "${Slicer_LAUNCHER_EXECUTABLE}" --no-splash --testing ${_test_SLICER_ARGS}
            --python-code "runUnitTest(['${_test_folder}'], '${_test_name}')"
    )
endmacro()
