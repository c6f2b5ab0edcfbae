// IDX files, plain and gzip-compressed.
#include "data/idx.h"

#include "core/check.h"
#include "tests/fuzz/fuzz.h"

namespace mixgrad::fuzz {

std::vector<std::string> seeds() {
  using namespace std::string_literals;
  return {"\0\0\x08\x01\0\0\0\x03"s + "\7\3\7", "\0\0\x08\x03\0\0\0\x01\0\0\0\x02\0\0\0\x02"s + "abcd",
          // The second one as gzip wraps it, uncompressed.
          "\x1f\x8b\x08\0\0\0\0\0\0\x03\x01\x14\0\xeb\xff"s
          "\0\0\x08\x03\0\0\0\x01\0\0\0\x02\0\0\0\x02"
          "abcd\x6b\xde\x78\x0e\x14\0\0\0"s};
}

void read(const std::string& bytes) {
  const std::string path = file_with(bytes);
  try {
    data::read_idx(path, 3);
  } catch (const Error&) {
    data::read_idx(path, 1);
  }
}

}  // namespace mixgrad::fuzz
