# The CUDA kernels: every .cu of the library's folders, compiled by nvcc, or by the C++ compiler for the executor in
# tests/cuda_executor, which runs them on a CPU.
set(MIXGRAD_CUDA AUTO CACHE STRING "Build the CUDA kernels: ON, OFF, or AUTO (if nvcc and an NVIDIA GPU are found)")
set_property(CACHE MIXGRAD_CUDA PROPERTY STRINGS AUTO ON OFF)
option(MIXGRAD_CUDA_EXECUTOR "Compile the CUDA kernels for the CPU executor instead of a GPU (for tests)" OFF)

set(with_cuda FALSE)
if(MIXGRAD_CUDA_EXECUTOR)
  set(with_cuda TRUE)
  set(cuda_runtime cuda_executor)
  # Sanitizers always apply to the kernels and the code that launches them, which the executor is for; the rest of the
  # library builds faster without.
  set(executor_sanitizers -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  set_source_files_properties(core/cuda.cpp core/allocator.cpp PROPERTIES COMPILE_OPTIONS "${executor_sanitizers}"
    SKIP_PRECOMPILE_HEADERS ON)
  add_subdirectory(tests/cuda_executor)
elseif(MIXGRAD_CUDA STREQUAL "ON" OR (MIXGRAD_CUDA STREQUAL "AUTO" AND (EXISTS /dev/nvidiactl OR EXISTS /dev/dxg)))
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(with_cuda TRUE)
    if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES 80-real 90)  # and PTX for 9.0, for later GPUs
    endif()
    enable_language(CUDA)
    if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 does not know that nvcc 13 has one
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    endif()
    find_package(CUDAToolkit 12 REQUIRED)
    set(cuda_runtime CUDA::cudart_static)
  elseif(MIXGRAD_CUDA STREQUAL "ON")
    message(FATAL_ERROR "nvcc not found: install the CUDA Toolkit (12 or 13), or pass -DMIXGRAD_CUDA=OFF")
  else()
    message(STATUS "skipped: CUDA kernels (nvcc; the CUDA Toolkit)")
  endif()
endif()

# add_kernels(<target> <.cu file...>): an object library, so that the kernels can be built alone.
function(add_kernels target)
  add_library(${target} OBJECT ${ARGN})
  set_target_properties(${target} PROPERTIES UNITY_BUILD OFF)  # kernels of different files share names
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(${target} PRIVATE MIXGRAD_WITH_CUDA)
  target_link_libraries(${target} PRIVATE mixgrad_flags OpenMP::OpenMP_CXX ${cuda_runtime})
  if(MIXGRAD_CUDA_EXECUTOR)
    set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-xc++")
    target_precompile_headers(${target} PRIVATE core/gpu.cuh)
    target_compile_options(${target} PRIVATE -O1 ${executor_sanitizers})  # -O1: the executor runs them many times, instrumented
    target_link_options(cuda_executor INTERFACE -fsanitize=address,undefined)
  else()
    target_compile_options(${target} PRIVATE --expt-relaxed-constexpr $<$<BOOL:${MIXGRAD_WERROR}>:-Werror=all-warnings>)
  endif()
endfunction()
