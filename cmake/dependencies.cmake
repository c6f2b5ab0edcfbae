# What mixgrad needs from the system. Each message names the Debian and Ubuntu package.
find_package(OpenMP COMPONENTS CXX)
if(NOT OpenMP_CXX_FOUND)
  message(FATAL_ERROR "OpenMP not found: use g++, or install the package libomp-dev for clang++")
endif()

# If they are not installed as packages: a folder with the headers of Eigen (eigen3/Eigen), CLI11 (CLI), doctest,
# nlohmann-json and xxHash, laid out as in /usr/include.
set(MIXGRAD_DEPS "$ENV{MIXGRAD_DEPS}" CACHE PATH "Folder with the headers of header-only libraries")

# find_headers(<target> <header> <package> [<version>]): the package's target, or one made from MIXGRAD_DEPS.
function(find_headers target header package)
  find_package(${package} ${ARGN} QUIET)
  if(NOT TARGET ${target} AND MIXGRAD_DEPS)
    find_path(${package}_HEADERS ${header} PATHS ${MIXGRAD_DEPS} PATH_SUFFIXES eigen3 include include/eigen3
      NO_DEFAULT_PATH)
    if(${package}_HEADERS)
      add_library(${target} INTERFACE IMPORTED GLOBAL)
      target_include_directories(${target} SYSTEM INTERFACE ${${package}_HEADERS})
    endif()
  endif()
endfunction()

find_headers(Eigen3::Eigen Eigen/Core Eigen3 3.4 NO_MODULE)
if(NOT TARGET Eigen3::Eigen)
  message(FATAL_ERROR "Eigen 3.4 not found: install the package libeigen3-dev, or set MIXGRAD_DEPS to a folder with its headers")
endif()

if(MIXGRAD_BUILD_APPS)
  find_headers(CLI11::CLI11 CLI/CLI.hpp CLI11 2.1)
  if(NOT TARGET CLI11::CLI11)
    message(FATAL_ERROR "CLI11 not found: install the package libcli11-dev, or pass -DMIXGRAD_BUILD_APPS=OFF")
  endif()
endif()

if(MIXGRAD_BUILD_TESTS)
  find_headers(doctest::doctest doctest/doctest.h doctest 2.4)
  if(NOT TARGET doctest::doctest)
    message(FATAL_ERROR "doctest not found: install the package doctest-dev, or pass -DMIXGRAD_BUILD_TESTS=OFF")
  endif()
endif()

# Optional: each serves one file.
# find_optional(<what is left out without it> <package> [<version>])
function(find_optional left_out package)
  find_package(${package} ${ARGN} QUIET)
  if(NOT ${package}_FOUND)
    message(STATUS "skipped: ${left_out}")
  endif()
  set(${package}_FOUND "${${package}_FOUND}" PARENT_SCOPE)
endfunction()
find_headers(nlohmann_json::nlohmann_json nlohmann/json.hpp nlohmann_json 3.10)
find_path(XXHASH_HEADERS xxhash.h PATHS ${MIXGRAD_DEPS} PATH_SUFFIXES include)  # Debian's package has no CMake file.
if(TARGET nlohmann_json::nlohmann_json AND XXHASH_HEADERS)
  add_library(json_and_hash INTERFACE IMPORTED GLOBAL)
  target_include_directories(json_and_hash SYSTEM INTERFACE ${XXHASH_HEADERS})
  target_link_libraries(json_and_hash INTERFACE nlohmann_json::nlohmann_json)
else()
  message(STATUS "skipped: safetensors files (nlohmann-json and xxHash; packages nlohmann-json3-dev and libxxhash-dev)")
endif()
find_optional("reading .gz files (zlib; package zlib1g-dev)" ZLIB)
find_package(OpenSSL QUIET)
if(NOT OPENSSL_FOUND)  # it verifies what is downloaded
  set(CMAKE_DISABLE_FIND_PACKAGE_CURL ON)
endif()
find_optional("downloading archives (libcurl and OpenSSL; packages libcurl4-openssl-dev and libssl-dev)" CURL)
if(NOT ZLIB_FOUND)  # it verifies the checksums of archives
  set(CMAKE_DISABLE_FIND_PACKAGE_LibArchive ON)
endif()
find_optional("unpacking archives (libarchive and zlib; packages libarchive-dev and zlib1g-dev)" LibArchive)
find_optional("reading and writing PNG images (libpng; package libpng-dev)" PNG)
find_optional("reading JPEG images (libjpeg-turbo; package libjpeg-dev)" JPEG)
