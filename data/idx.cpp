#include "data/idx.h"

#include <array>
#include <vector>

#include "core/check.h"
#include "data/gzip.h"

namespace mixgrad::data {
Tensor read_idx(const std::string& path, int rank) {
  ByteReader reader(path);
  std::array<std::uint8_t, 4> magic{};
  check(reader.read(magic.data(), 4) == 4 && magic[0] == 0 && magic[1] == 0, path, ": not an IDX file");
  check(magic[2] == 0x08, path, ": IDX elements of type ", int{magic[2]}, ", only 8 (unsigned bytes) is supported");
  check(magic[3] == rank, path, ": has ", int{magic[3]}, " axes, expected ", rank);
  std::vector<std::int64_t> extents;
  for (int axis = 0; axis < rank; ++axis) {
    std::array<std::uint8_t, 4> b{};
    check(reader.read(b.data(), 4) == 4, path, ": truncated in its header");
    extents.push_back(std::int64_t{b[0]} << 24 | b[1] << 16 | b[2] << 8 | b[3]);
  }
  const Tensor result = [&] {
    try {
      const Shape shape{std::span<const std::int64_t>(extents)};
      // A file can't hold more than its size allows, so a false header is refused before memory is allocated.
      check(shape.numel() <= reader.max_size(), "truncated: the header announces ", shape.numel(),
            " bytes of data, more than the file can hold");
      return Tensor::empty(shape, {.dtype = DType::u8});
    } catch (const Error& error) {
      fail(path, ": ", error.what());
    }
  }();
  const auto size = static_cast<std::size_t>(result.numel());
  const std::size_t got = reader.read(result.mutable_data<std::uint8_t>(), size);
  check(got == size, path, ": truncated: the header announces ", size, " bytes of data, the file holds ", got);
  std::uint8_t extra = 0;
  check(reader.read(&extra, 1) == 0, path, ": longer than its header announces (", size, " bytes of data)");
  return result;
}

}  // namespace mixgrad::data
