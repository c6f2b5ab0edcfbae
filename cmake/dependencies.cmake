# What mixgrad needs from the system. Each message names the Debian and Ubuntu package.
find_package(OpenMP COMPONENTS CXX)
if(NOT OpenMP_CXX_FOUND)
  message(FATAL_ERROR "OpenMP not found: use g++, or install the package libomp-dev for clang++")
endif()

find_package(Eigen3 3.4 NO_MODULE QUIET)
if(NOT TARGET Eigen3::Eigen)
  message(FATAL_ERROR "Eigen 3.4 not found: install the package libeigen3-dev")
endif()

if(MIXGRAD_BUILD_APPS)
  find_package(CLI11 2.1 QUIET)
  if(NOT CLI11_FOUND)
    message(FATAL_ERROR "CLI11 not found: install the package libcli11-dev, or pass -DMIXGRAD_BUILD_APPS=OFF")
  endif()
endif()

if(MIXGRAD_BUILD_TESTS)
  find_package(doctest 2.4 QUIET)
  if(NOT doctest_FOUND)
    message(FATAL_ERROR "doctest not found: install the package doctest-dev, or pass -DMIXGRAD_BUILD_TESTS=OFF")
  endif()
endif()

# Optional: each serves one file.
find_package(nlohmann_json 3.10 QUIET)
if(NOT nlohmann_json_FOUND)
  message(STATUS "skipped: safetensors files (nlohmann-json; package nlohmann-json3-dev)")
endif()
find_package(ZLIB QUIET)
if(NOT ZLIB_FOUND)
  message(STATUS "skipped: reading .gz files (zlib; package zlib1g-dev)")
endif()
