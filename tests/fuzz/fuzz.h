// What a fuzz target consists of: seeds to begin with, and the function under attack. fuzz.cpp has the rest.
#pragma once

#include <string>
#include <vector>

namespace mixgrad::fuzz {

// Well-formed inputs, which libFuzzer varies.
std::vector<std::string> seeds();

// Reads one input. It may throw Error; any other exception is a finding, as are a crash, a leak, undefined behaviour
// and more memory or time than run.sh allows.
void read(const std::string& bytes);

// The path of a scratch file with these bytes, the same file at every call.
std::string file_with(const std::string& bytes);

// The bytes of a file, for seeds.
std::string bytes_of(const std::string& path);

}  // namespace mixgrad::fuzz
