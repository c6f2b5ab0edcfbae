// SHA-256 (NIST, FIPS 180-4): verifies a download.
#pragma once

#include <istream>
#include <string>

namespace mixgrad::data {

// The hash of all bytes up to the end of the stream, as 64 lower-case hexadecimal digits.
std::string sha256(std::istream& bytes);

// The hash of a whole file. Throws an error that names the file when it can't be read.
std::string sha256_of_file(const std::string& path);

}  // namespace mixgrad::data
