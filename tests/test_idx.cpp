#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "core/allocator.h"
#include "core/check.h"
#include "core/random.h"
#include "data/idx.h"
#include "tests/error.h"
#include "tests/idx_file.h"
#include "tests/optional.h"
#include "tests/temporary_folder.h"

using namespace mixgrad;
using data::read_idx;
using test::big_endian;
using test::contains;
using test::crc32;
using test::error_of;
using test::idx_header;
using test::is_built;
using test::TemporaryFolder;

namespace {

std::string little_endian(std::uint32_t value) {
  std::string bytes = big_endian(value);
  std::reverse(bytes.begin(), bytes.end());
  return bytes;
}

// Element i is 7 i mod 251.
std::string elements(std::size_t count) {
  std::string bytes;
  for (std::size_t i = 0; i < count; ++i) bytes += static_cast<char>(7 * i % 251);
  return bytes;
}

bool holds_elements(const Tensor& tensor) {
  const auto values = tensor.to_vector<std::uint8_t>();
  const std::string expected = elements(values.size());
  return std::equal(values.begin(), values.end(), expected.begin(),
                    [](std::uint8_t a, char b) { return a == static_cast<std::uint8_t>(b); });
}

// A gzip file (RFC 1952) whose blocks are stored, not compressed: a header of 10 bytes, 5 bytes before each block.
std::string gzip(const std::string& bytes) {
  std::string file("\x1f\x8b\x08\0\0\0\0\0\0\x03", 10);
  constexpr std::size_t block = 0xffff;
  for (std::size_t first = 0; first == 0 || first < bytes.size(); first += block) {
    const std::string data = bytes.substr(first, block);
    const auto size = static_cast<std::uint32_t>(data.size());
    file += first + block >= bytes.size() ? '\1' : '\0';
    file += little_endian(size | ~size << 16) + data;
  }
  return file + little_endian(crc32(bytes)) + little_endian(static_cast<std::uint32_t>(bytes.size()));
}

bool reads_gzip() {
  const TemporaryFolder folder;
  return is_built(error_of([&] { read_idx(folder.write("probe.gz", gzip(idx_header({1}) + "x")), 1); }));
}

// Reading ends in an error: one line that names the file and holds the words. Returns its text.
std::string check_refused(const std::string& path, int rank, const std::string& words = "") {
  CAPTURE(path);
  const std::string text = test::check_refused([&] { read_idx(path, rank); }, words);
  CHECK(contains(text, path));
  return text;
}

}  // namespace

TEST_CASE("idx: a plain file of each rank comes back as it was written") {
  const TemporaryFolder folder;
  const Tensor labels = read_idx(folder.write("labels", idx_header({5}) + elements(5)), 1);
  CHECK(labels.shape() == Shape{5});
  CHECK(labels.dtype() == DType::u8);
  CHECK(holds_elements(labels));
  const Tensor images = read_idx(folder.write("images", idx_header({300, 28, 27}) + elements(300 * 28 * 27)), 3);
  CHECK(images.shape() == Shape{300, 28, 27});
  CHECK(holds_elements(images));
  CHECK(read_idx(folder.write("none", idx_header({0, 28, 28})), 3).shape() == Shape{0, 28, 28});
}

TEST_CASE("idx: a .gz file comes back as it was written, over many blocks and buffers") {
  if (!reads_gzip()) return;
  const TemporaryFolder folder;
  const Tensor images =
      read_idx(folder.write("images.gz", gzip(idx_header({300, 28, 27}) + elements(300 * 28 * 27))), 3);
  CHECK(images.shape() == Shape{300, 28, 27});
  CHECK(holds_elements(images));
  CHECK(read_idx(folder.write("none.gz", gzip(idx_header({0}))), 1).numel() == 0);
}

TEST_CASE("idx: a .gz file compressed as far as gzip can is not taken for one that lies about its size") {
  if (!reads_gzip()) return;
  const TemporaryFolder folder;
  const std::string path = folder.write("zeros", idx_header({4000, 1000}) + std::string(4'000'000, '\0'));
  if (std::system(("gzip -9 '" + path + "'").c_str()) != 0) {
    MESSAGE("skipped: there is no gzip");
    return;
  }
  CHECK(std::filesystem::file_size(path + ".gz") < 5000);
  CHECK(read_idx(path + ".gz", 2).shape() == Shape{4000, 1000});
}

TEST_CASE("idx: a file that is missing, or a folder, is named") {
  const TemporaryFolder folder;
  check_refused(folder / "none", 1, "No such file");
  check_refused(folder / "none.gz", 1);
  const std::string text = check_refused(folder.path(), 1, "directory");
  CHECK_MESSAGE(!contains(text, "gzip"), text);  // it is not damaged
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  check_refused(folder / "pipe", 1, "not a regular file");
}

TEST_CASE("idx: a file that is empty, truncated anywhere, or too long is refused") {
  const TemporaryFolder folder;
  const std::string good = idx_header({2, 3, 4}) + elements(24);
  check_refused(folder.write("empty", ""), 3, "not an IDX file");
  for (std::size_t size = 1; size < good.size(); ++size)
    check_refused(folder.write("cut", good.substr(0, size)), 3, size < 4 ? "not an IDX file" : "truncated");
  check_refused(folder.write("long", good + '\0'), 3, "longer");
  check_refused(folder.write("more", idx_header({0}) + 'x'), 1, "longer");
  CHECK(holds_elements(read_idx(folder.write("good", good), 3)));
}

TEST_CASE("idx: another magic, element type or rank is refused") {
  const TemporaryFolder folder;
  check_refused(folder.write("text", "This is no IDX file at all."), 1, "not an IDX file");
  check_refused(folder.write("swapped", std::string("\1\x08\0\0\0\0\0\1x", 9)), 1, "not an IDX file");
  for (const char type : {'\x00', '\x09', '\x0B', '\x0C', '\x0D', '\x0E', '\x7F'})
    check_refused(folder.write("type", idx_header({1}, type) + 'x'), 1, "type " + std::to_string(int{type}));
  check_refused(folder.write("rank", idx_header({2, 2}) + "abcd"), 1, "2 axes, expected 1");
  check_refused(folder.write("rank", idx_header({4}) + "abcd"), 3, "1 axes, expected 3");
  check_refused(folder.write("rank", idx_header({}) + "a"), 1, "0 axes, expected 1");
}

TEST_CASE("idx: a header that claims 10^18 elements allocates nothing") {
  const bool with_gzip = reads_gzip();
  const TemporaryFolder folder;
  const std::uint32_t most = ~0u, million = 1'000'000;
  for (const std::vector<std::uint32_t>& extents : {std::vector{million, million, million},
                                                    {most, most, most},
                                                    {most, most, 2u},
                                                    {0u, most, most},
                                                    {most, 1u, 1u},
                                                    {1u << 31, 1u << 31, 1u},
                                                    {100u, 28u, 28u}}) {
    const std::string file = idx_header(extents) + elements(60);
    for (const bool zipped : {false, true}) {
      if (zipped && (!with_gzip || extents[0] == 100)) continue;  // 60 bytes could unpack to 78,400
      const std::string path = zipped ? folder.write("liar.gz", gzip(file)) : folder.write("liar", file);
      const AllocatorStats before = allocator_stats();
      const std::string text = check_refused(path, 3);
      const AllocatorStats after = allocator_stats();
      CHECK(after.hits + after.misses == before.hits + before.misses);
      CHECK_MESSAGE(!contains(text, "out of memory"), text);
    }
  }
}

TEST_CASE("idx: a .gz file with any byte changed is refused or says the same") {
  if (!reads_gzip()) return;
  const TemporaryFolder folder;
  const std::string good = gzip(idx_header({2, 3, 4}) + elements(24));
  const std::size_t first = 10 + 5 + 4 + 12, last = first + 24;  // the elements
  for (std::size_t at = 0; at < good.size(); ++at) {
    CAPTURE(at);
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x04);
    const std::string path = folder.write("flipped.gz", bad);
    if (at >= 4 && at < 10) CHECK(holds_elements(read_idx(path, 3)));  // when and where it was packed
    else if (at >= first && at < last) check_refused(path, 3, "gzip");
    else check_refused(path, 3);
  }
}

TEST_CASE("idx: a .gz file truncated anywhere is refused, however long it is") {
  if (!reads_gzip()) return;
  const TemporaryFolder folder;
  for (const std::uint32_t rows : {300u, 8'000u, 37'450u}) {  // of 28: less than any buffer, and more
    CAPTURE(rows);
    const std::string good = gzip(idx_header({rows, 28}) + elements(28 * rows));
    for (std::size_t missing = 1; missing < 20; ++missing)
      check_refused(folder.write("cut.gz", good.substr(0, good.size() - missing)), 2, "truncated");
    check_refused(folder.write("cut.gz", good.substr(0, good.size() / 2)), 2, "truncated");
    for (std::size_t left = 0; left < 40; ++left) check_refused(folder.write("cut.gz", good.substr(0, left)), 2);
  }
}

TEST_CASE("idx: a long .gz file with any bit changed is refused, in its checksum and its size too") {
  if (!reads_gzip()) return;
  const TemporaryFolder folder;
  const std::string good = gzip(idx_header({37'450, 28}) + elements(28 * 37'450));
  for (std::size_t at = 31; at < good.size(); at += at + 64 < good.size() ? good.size() / 10 : 1) {
    CAPTURE(good.size() - at);
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x20);
    check_refused(folder.write("flipped.gz", bad), 2, "gzip");
  }
}

TEST_CASE("idx: gzip data may have several members and end in zeros, but in nothing else") {
  if (!reads_gzip()) return;
  const TemporaryFolder folder;
  const std::string two = gzip(idx_header({3, 4})) + gzip(elements(12));
  CHECK(holds_elements(read_idx(folder.write("two.gz", two), 2)));
  CHECK(holds_elements(read_idx(folder.write("padded.gz", two + std::string(1000, '\0')), 2)));
  check_refused(folder.write("more.gz", two + "more"), 2, "gzip");
  check_refused(folder.write("third.gz", two + gzip("x")), 2, "longer");
  check_refused(folder.write("cut.gz", two + gzip("").substr(0, 22)), 2, "truncated");
}

TEST_CASE("idx: 2,000 random changes each of a plain and a .gz file either load or throw one clear line") {
  const bool with_gzip = reads_gzip();
  const TemporaryFolder folder;
  const std::string plain = idx_header({3, 4, 5}) + elements(60);
  for (const bool zipped : {false, true}) {
    if (zipped && !with_gzip) continue;
    const std::string good = zipped ? gzip(plain) : plain;
    Random random(zipped ? 1 : 2);
    int loaded = 0, refused = 0;
    for (int trial = 0; trial < 2000; ++trial) {
      std::string bad = good;
      const auto position = [&] { return random.below(static_cast<std::uint32_t>(bad.size())); };
      for (std::uint32_t flips = random.below(4); flips > 0; --flips)
        bad[position()] = static_cast<char>(random.below(256));
      if (random.below(4) == 0) bad.resize(position());
      else if (random.below(8) == 0) bad += bad.substr(position());
      const std::string path = folder.write(zipped ? "fuzzed.gz" : "fuzzed", bad);
      const std::string text = error_of([&] {
        const Tensor tensor = read_idx(path, 3);
        ++loaded;
        CHECK(tensor.numel() <= 60);
        CHECK((!zipped || holds_elements(tensor)));  // the checksum vouches for it
      });
      if (text.empty()) continue;
      ++refused;
      CHECK(contains(text, path));
    }
    CHECK(loaded > 100);  // that both ends are met
    CHECK(refused > 100);
  }
}
