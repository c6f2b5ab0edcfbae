# `cmake --install`: the library, its headers and what find_package(mixgrad) reads. The headers keep their folders under
# include/mixgrad, which is on the target's include path: #include <mixgrad.h>, #include "core/tensor.h".
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(header_dir ${CMAKE_INSTALL_INCLUDEDIR}/mixgrad)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/mixgrad)

install(TARGETS mixgrad EXPORT mixgrad INCLUDES DESTINATION ${header_dir})
install(FILES mixgrad.h DESTINATION ${header_dir})
install(DIRECTORY ${folders} DESTINATION ${header_dir} FILES_MATCHING PATTERN *.h
  # Private: only .cpp files include them.
  PATTERN conv2d_cpu EXCLUDE
  REGEX "/(augment/pair_mix_kernels|core/(broadcast|cuda|eigen|gemm|graph|large_blocks|rows|simd|sums|tile|vector_math)|data/(gather_images|gzip|image_codecs|pixel_maps)|nn/conv2d_reference|train/(captured_runner|snapshot))\\.h$" EXCLUDE)
install(EXPORT mixgrad NAMESPACE mixgrad:: FILE mixgrad-targets.cmake DESTINATION ${package_dir})

# A static library is linked together with what it uses.
get_target_property(libraries mixgrad LINK_LIBRARIES)
set(config "include(CMakeFindDependencyMacro)\nfind_dependency(OpenMP COMPONENTS CXX)\n")
foreach(package ZLIB PNG JPEG CURL LibArchive OpenSSL CUDAToolkit)
  string(REPLACE Toolkit "" prefix ${package})  # CUDAToolkit has the targets CUDA::...
  if(libraries MATCHES "${prefix}::")
    string(APPEND config "find_dependency(${package})\n")
  endif()
endforeach()
string(APPEND config "include(\"\${CMAKE_CURRENT_LIST_DIR}/mixgrad-targets.cmake\")\n")
file(WRITE ${PROJECT_BINARY_DIR}/mixgrad-config.cmake "${config}")
write_basic_package_version_file(${PROJECT_BINARY_DIR}/mixgrad-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/mixgrad-config.cmake ${PROJECT_BINARY_DIR}/mixgrad-config-version.cmake
  DESTINATION ${package_dir})
