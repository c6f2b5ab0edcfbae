// The beginning of an IDX file, honest or not.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/bytes.h"

namespace mixgrad::test {

// The type 8 is that of unsigned bytes.
inline std::string idx_header(const std::vector<std::uint32_t>& extents, char type = 8) {
  std::string bytes = {0, 0, type, static_cast<char>(extents.size())};
  for (const std::uint32_t extent : extents) bytes += big_endian(extent);
  return bytes;
}

}  // namespace mixgrad::test
