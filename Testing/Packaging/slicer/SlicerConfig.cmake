# Stands in for an installed Slicer build in the packaging test. Written for this project from the documented behaviour
# of Slicer's extension macros; it does what they do to files and nothing else:
# - every listed script and resource is copied, under the path it was listed with, into the build tree's
#   qt-scripted-modules folder (a folder named after the module's own below it, WITH_SUBDIR);
# - scripts are compiled there;
# - that folder, and nothing outside it, is what gets installed. So a file listed with ../ is copied and then left out;
# - a listed file that does not exist stops the configuration;
# - files of a second call with the same NAME are dropped without a word, because its targets exist already.
if(CMAKE_VERSION VERSION_LESS 3.16)
  message(FATAL_ERROR "This stand-in for Slicer needs CMake 3.16")
endif()

set(Slicer_VERSION "5.12.0")
set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/GenerateExtensionConfig.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/ExtensionCPack.cmake")
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR "lib/Slicer-5.12/qt-scripted-modules")
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR "${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")
set(Slicer_LAUNCHER_EXECUTABLE "Slicer")
