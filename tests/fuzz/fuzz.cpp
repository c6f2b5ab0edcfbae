#include "tests/fuzz/fuzz.h"

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <iterator>

#include "core/check.h"
#include "tests/temporary_folder.h"

namespace mixgrad::fuzz {
namespace {

const test::TemporaryFolder& scratch() {
  static const test::TemporaryFolder folder;
  return folder;
}

void write(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  check(file.flush().good(), path, ": cannot be written");
}

}  // namespace

std::string file_with(const std::string& bytes) {
  const std::string path = scratch() / "input";
  write(path, bytes);
  return path;
}

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace mixgrad::fuzz

// libFuzzer calls this before it reads its first input. The first argument that is no option is the folder of inputs.
extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
  using namespace mixgrad::fuzz;
  for (int i = 1; i < *count; ++i) {
    const std::string argument = (*arguments)[i];
    if (argument.starts_with("-")) continue;
    if (!std::filesystem::is_directory(argument)) break;  // a finding to be tried again
    try {
      int number = 0;
      for (const std::string& seed : seeds()) write(argument + "/seed_" + std::to_string(number++), seed);
    } catch (const mixgrad::Error& error) {  // this build lacks a library
      std::cerr << "no seeds: " << error.what() << '\n';
    }
    break;
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    mixgrad::fuzz::read({reinterpret_cast<const char*>(data), size});
  } catch (const mixgrad::Error&) {
  }
  return 0;
}
