#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/allocator.h"
#include "core/check.h"
#include "core/random.h"
#include "data/image_file.h"
#include "tests/bytes.h"
#include "tests/error.h"
#include "tests/jpeg.h"
#include "tests/optional.h"
#include "tests/same.h"
#include "tests/temporary_folder.h"

using namespace mixgrad;
using data::read_image;
using data::write_png;
using test::big_endian;
using test::cmyk_jpeg;
using test::colour_jpeg;
using test::contains;
using test::crc32;
using test::error_of;
using test::grey_jpeg;
using test::same;
using test::TemporaryFolder;
using namespace std::string_literals;
using Bytes = std::vector<std::uint8_t>;

namespace {

// ---- PNG files (RFC 2083), put together here so that any kind can be had.

std::string chunk(const std::string& type, const std::string& data) {
  return big_endian(static_cast<std::uint32_t>(data.size())) + type + data + big_endian(crc32(type + data));
}

// The chunk with another checksum.
std::string broken(std::string chunk) {
  chunk.back() = static_cast<char>(chunk.back() ^ 1);
  return chunk;
}

// zlib data (RFC 1950) in stored blocks.
std::string zlib(const std::string& bytes) {
  std::string result = "\x78\x01";
  std::uint32_t a = 1, b = 0;  // Adler-32
  for (const char byte : bytes) {
    a = (a + static_cast<std::uint8_t>(byte)) % 65521;
    b = (b + a) % 65521;
  }
  constexpr std::size_t block = 0xffff;
  for (std::size_t first = 0; first == 0 || first < bytes.size(); first += block) {
    const std::string data = bytes.substr(first, block);
    result += first + block >= bytes.size() ? '\1' : '\0';
    for (const std::size_t size : {data.size(), ~data.size()}) {
      result += static_cast<char>(size & 0xff);
      result += static_cast<char>(size >> 8 & 0xff);
    }
    result += data;
  }
  return result + big_endian(b << 16 | a);
}

const std::string signature = "\x89PNG\r\n\x1a\n";

struct Header {
  std::uint32_t width, height;
  int depth = 8;
  int colour = 0;  // 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha
  bool interlaced = false;
};

std::string ihdr(const Header& h) {
  std::string bytes = big_endian(h.width) + big_endian(h.height);
  for (const int value : {h.depth, h.colour, 0, 0, h.interlaced ? 1 : 0}) bytes += static_cast<char>(value);
  return chunk("IHDR", bytes);
}

// `rows` are the scan lines without their filter bytes, one after the other.
std::string png(const Header& h, const std::string& rows, const std::string& chunks = "") {
  const std::size_t row = rows.size() / h.height;
  std::string raw;
  for (std::size_t y = 0; y < h.height; ++y) raw += '\0' + rows.substr(y * row, row);
  return signature + ihdr(h) + chunks + chunk("IDAT", zlib(raw)) + chunk("IEND", "");
}

// 8-bit grey, interlaced as Adam7.
std::string interlaced_png(std::uint32_t width, std::uint32_t height, const std::string& rows) {
  constexpr std::array<std::array<std::uint32_t, 4>, 7> passes{
      {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}};
  std::string raw;
  for (const auto& [x0, y0, dx, dy] : passes)
    for (std::uint32_t y = y0; y < height && x0 < width; y += dy) {
      raw += '\0';
      for (std::uint32_t x = x0; x < width; x += dx) raw += rows[y * width + x];
    }
  return signature + ihdr({width, height, 8, 0, true}) + chunk("IDAT", zlib(raw)) + chunk("IEND", "");
}

// The error of the call: one line that names the file and holds the words.
std::string check_throws(const std::function<void()>& call, const std::string& path, const std::string& words) {
  const std::string text = test::check_refused(call, words);
  CHECK(text.starts_with(path));
  return text;
}

std::string check_refused(const std::string& path, const std::string& words = "",
                          const data::ImageFileOptions& options = {}) {
  return check_throws([&] { read_image(path, options); }, path, words);
}

bool reads(const std::string& bytes) {
  const TemporaryFolder folder;
  return test::is_built(error_of([&] { read_image(folder.write("probe", bytes)); }));
}
bool reads_png() { return reads(png({1, 1}, "x")); }
bool reads_jpeg() { return reads(colour_jpeg()); }

Bytes pixels(const std::string& bytes, std::int64_t channels, const Shape& shape) {
  const TemporaryFolder folder;
  const Tensor image = read_image(folder.write("image", bytes), {.channels = channels});
  CHECK(image.dtype() == DType::u8);
  CHECK(image.shape() == shape);
  return image.to_vector<std::uint8_t>();
}

// Random bytes, u8 [height, width, channels].
Tensor noise(std::int64_t height, std::int64_t width, std::int64_t channels) {
  Random random(7);
  Bytes bytes(static_cast<std::size_t>(height * width * channels));
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.bits());
  return Tensor::from(bytes, {height, width, channels});
}

// ---- JPEG files: golden colours are those of PIL.

// The colours of the first and the last pixel, and both in grey.
struct Ends {
  Bytes colours, grey;
};
void check_ends(const std::string& jpeg, const Ends& ends) {
  const TemporaryFolder folder;
  const std::string path = folder.write("image", jpeg);
  const auto both = [&](std::int64_t channels) {
    const Bytes all = read_image(path, {.channels = channels}).to_vector<std::uint8_t>();
    Bytes result(all.begin(), all.begin() + channels);
    result.insert(result.end(), all.end() - channels, all.end());
    return result;
  };
  CHECK(both(3) == ends.colours);
  CHECK(both(1) == ends.grey);
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != text.npos);
  return text.replace(at, from.size(), to);
}

// The JPEG with another segment after its first marker; n is that of APPn.
std::string with_segment(const std::string& jpeg, int n, const std::string& data) {
  const std::size_t size = data.size() + 2;
  return "\xff\xd8\xff" +
         std::string{static_cast<char>(0xe0 + n), static_cast<char>(size >> 8), static_cast<char>(size)} + data +
         jpeg.substr(2);
}

}  // namespace

TEST_CASE("image file: what is written as PNG comes back bit for bit, in grey and in colour, of any size") {
  if (!reads_png()) return;
  const TemporaryFolder folder;
  for (const std::int64_t channels : {1, 3})
    for (const auto& [height, width] : {std::pair{1, 1}, {28, 28}, {1, 1000}, {500, 3}, {700, 900}}) {
      const Tensor image = noise(height, width, channels);
      write_png(folder / "image.png", image);
      CHECK(same(read_image(folder / "image.png", {.channels = channels}), image));
    }
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("image file: grey is copied to three channels, colour becomes grey by BT.601") {
  if (!reads_png()) return;
  CHECK(pixels(png({2, 1}, "\x10\xf0"), 3, {1, 2, 3}) == Bytes{16, 16, 16, 240, 240, 240});
  const std::string colours = "\xff\x00\x00\x00\xff\x00\x00\x00\xff\x64\x64\x64"s;
  CHECK(pixels(png({4, 1, 8, 2}, colours), 1, {1, 4, 1}) == Bytes{76, 150, 29, 100});
}

TEST_CASE("image file: palettes, 1 to 16 bits and transparency are reduced to 8 bits of colour") {
  if (!reads_png()) return;
  const std::string palette = chunk("PLTE", "\x0a\x14\x1e\xc8\xd2\xdc");
  const Bytes two_colours{200, 210, 220, 10, 20, 30};
  CHECK(pixels(png({2, 1, 8, 3}, "\x01\x00"s, palette), 3, {1, 2, 3}) == two_colours);
  CHECK(pixels(png({2, 1, 1, 3}, "\x80", palette), 3, {1, 2, 3}) == two_colours);
  CHECK(pixels(png({2, 1, 8, 3}, "\x01\x00"s, palette + chunk("tRNS", "\x00\x80"s)), 3, {1, 2, 3}) == two_colours);
  CHECK(pixels(png({4, 1, 1}, "\xa0"), 1, {1, 4, 1}) == Bytes{255, 0, 255, 0});
  CHECK(pixels(png({4, 1, 2}, "\x1b"), 1, {1, 4, 1}) == Bytes{0, 85, 170, 255});
  CHECK(pixels(png({2, 1, 4}, "\x3f"), 1, {1, 2, 1}) == Bytes{51, 255});
  CHECK(pixels(png({4, 1, 16}, "\x12\x34\x00\x80\xfe\xff\xff\xff"s), 1, {1, 4, 1}) == Bytes{18, 0, 254, 255});
  CHECK(pixels(png({2, 1, 16}, "\x00\xff\xfe\x80"s), 1, {1, 2, 1}) == Bytes{1, 254});  // of 65,535, rounded: .99, 253.5
  CHECK(pixels(png({2, 1, 8, 4}, "\x30\x00\x40\xff"s), 1, {1, 2, 1}) == Bytes{48, 64});
  CHECK(pixels(png({1, 1, 8, 6}, "\x01\x02\x03\x00"s), 3, {1, 1, 3}) == Bytes{1, 2, 3});
  CHECK(pixels(png({1, 1, 8, 0}, "\x05", chunk("tRNS", "\x00\x05"s)), 3, {1, 1, 3}) == Bytes{5, 5, 5});
}

TEST_CASE("image file: an interlaced PNG is the same image, whatever its size") {
  if (!reads_png()) return;
  for (std::uint32_t size = 1; size <= 17; ++size) {
    std::string rows;
    // Other bytes for each size: memory that is used again must not have them already.
    for (std::uint32_t i = 0; i < size * (size + 3); ++i) rows += static_cast<char>((7 * i + 100 * size) % 251);
    CHECK(pixels(interlaced_png(size + 3, size, rows), 1, {size, size + 3, 1}) == Bytes(rows.begin(), rows.end()));
  }
}

TEST_CASE("image file: a JPEG is read in colour and in grey, baseline and progressive") {
  if (!reads_jpeg()) return;
  const auto close = [](const Bytes& a, const Bytes& b) {  // to within the losses of JPEG at quality 95
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](int x, int y) { return std::abs(x - y) <= 4; });
  };
  Bytes colour, grey, ramp, ramp3;
  for (int y = 0; y < 8; ++y)
    for (int x = 0; x < 16; ++x) {
      const Bytes pixel = x < 8 ? Bytes{200, 30, 40} : Bytes{20, 60, 210};
      colour.insert(colour.end(), pixel.begin(), pixel.end());
      grey.push_back(x < 8 ? 82 : 65);
    }
  for (int i = 0; i < 64; ++i) {
    ramp.push_back(static_cast<std::uint8_t>(20 + 25 * (i % 8)));
    ramp3.insert(ramp3.end(), 3, ramp.back());
  }
  CHECK(close(pixels(colour_jpeg(), 3, {8, 16, 3}), colour));
  CHECK(close(pixels(colour_jpeg(), 1, {8, 16, 1}), grey));
  CHECK(close(pixels(grey_jpeg(), 1, {8, 8, 1}), ramp));
  CHECK(close(pixels(grey_jpeg(), 3, {8, 8, 3}), ramp3));
}

TEST_CASE("image file: a JPEG of four inks is read, as CMYK and as YCCK, with Adobe's marker and without") {
  if (!reads_jpeg()) return;
  const std::string jpeg = cmyk_jpeg(), marker = "Adobe\0\x64\0\0\0\0"s;
  const Ends cmyk{{46, 164, 207, 245, 155, 35}, {134, 168}};
  check_ends(jpeg, cmyk);
  check_ends(replaced(jpeg, "\xff\xee\x00\x0e"s + marker + '\0', ""), cmyk);
  check_ends(replaced(jpeg, marker + '\0', marker + '\2'), {{30, 215, 68, 140, 0, 0}, {143, 42}});
}

TEST_CASE("image file: Adobe's marker, or names, say whether components of a JPEG are colours or luma and chroma") {
  if (!reads_jpeg()) return;
  const auto adobe = [](char transform) { return with_segment(colour_jpeg(), 14, "Adobe\0\x64\0\0\0\0"s + transform); };
  check_ends(adobe(0), {{82, 104, 212, 65, 210, 96}, {110, 154}});
  for (const char transform : {'\1', '\7'}) check_ends(adobe(transform), {{200, 30, 39, 20, 60, 210}, {82, 65}});
  const std::string frame = "\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00"s, scan = "\x03\x01\x00\x02\x00\x03\x00"s;
  const std::string named = replaced(test::out_of_gamut_jpeg(), frame, "\x03R\x11\x00G\x11\x00"s + "B\x11\x00"s);
  check_ends(replaced(named, scan, "\x03R\x00G\x00"s + "B\x00"s), {{10, 240, 240, 200, 10, 30}, {171, 69}});
}

TEST_CASE("image file: grey from a JPEG is that of its colours, though they are clipped") {
  if (reads_jpeg()) check_ends(test::out_of_gamut_jpeg(), {{167, 0, 208, 63, 255, 0}, {74, 169}});
}

TEST_CASE("image file: chroma at half the resolution is interpolated") {
  if (!reads_jpeg()) return;
  const Bytes row{255, 1, 5, 248, 0, 5, 244, 4, 15, 221, 10, 45, 184, 15, 98, 88, 0, 123, 21, 0, 206, 0, 10, 255};
  const Bytes all = pixels(test::subsampled_jpeg(), 3, {8, 8, 3});
  CHECK(Bytes(all.begin() + 3 * 24, all.begin() + 4 * 24) == row);
}

TEST_CASE("image file: EXIF orientation and colour profiles of a JPEG change nothing") {
  if (!reads_jpeg()) return;
  const std::string exif = "Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"s;  // turned by 90 degrees
  for (const std::int64_t channels : {1, 3}) {
    const Bytes plain = pixels(colour_jpeg(), channels, {8, 16, channels});
    CHECK(pixels(with_segment(colour_jpeg(), 1, exif), channels, {8, 16, channels}) == plain);
    CHECK(pixels(with_segment(colour_jpeg(), 2, "ICC_PROFILE\0\1\1no profile"s), channels, {8, 16, channels}) == plain);
  }
}

TEST_CASE("image file: a JPEG of a kind that libjpeg does not read is not called damaged") {
  if (!reads_jpeg()) return;
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& from, const std::string& to, const std::string& words) {
    const std::string text = check_refused(folder.write("kind", replaced(colour_jpeg(), from, to)), words);
    CHECK(!contains(text, "damaged"));
  };
  refused("\xff\xc0\x00\x11\x08"s, "\xff\xc0\x00\x11\x0c"s,
          "this kind of JPEG is not supported: Unsupported JPEG data prec");
  refused("\xff\xc0\x00\x11"s, "\xff\xc5\x00\x11"s, "this kind of JPEG is not supported: Unsupported JPEG process");
  // Two components: their entries in the frame and in the scan go.
  const std::string two =
      replaced(replaced(colour_jpeg(), "\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00"s, "\x02\x01\x11\x00\x02\x11\x00"s),
               "\xff\xc0\x00\x11"s, "\xff\xc0\x00\x0e"s);
  const std::string scan = "\x0c\x03\x01\x00\x02\x11\x03\x11"s;
  check_refused(folder.write("two", replaced(two, scan, "\x0a\x02\x01\x00\x02\x11"s)), "a JPEG of 2 components");
}

TEST_CASE("image file: gamma, chromaticities, profiles and background of a PNG change nothing") {
  if (!reads_png()) return;
  const std::string colours = "\xff\x00\x00\x00\xff\x00\x00\x00\xff\x64\x64\x64\xff\x80\x00\x01\x02\x03"s;
  const Bytes plain{255, 0, 0, 0, 255, 0, 0, 0, 255, 100, 100, 100, 255, 128, 0, 1, 2, 3};
  const Bytes grey{76, 150, 29, 100, 151, 2};  // convert("L") of PIL
  std::string deep, rgba;                      // the same colours, in other kinds of PNG
  for (const char level : colours) deep += {level, level};
  for (std::size_t i = 0; i < 6; ++i) rgba += colours.substr(3 * i, 3) + static_cast<char>(40 * i);
  const std::string chromaticities = big_endian(31270) + big_endian(32900) + big_endian(64000) + big_endian(33000) +
                                     big_endian(30000) + big_endian(60000) + big_endian(15000) + big_endian(6000);
  const std::string wide = big_endian(31270) + big_endian(32900) + big_endian(73500) + big_endian(26500) +
                           big_endian(11500) + big_endian(82600) + big_endian(15700) + big_endian(1800);
  const std::vector<std::string> metadata{"",
                                          chunk("gAMA", big_endian(45455)),
                                          chunk("gAMA", big_endian(100000)),
                                          chunk("gAMA", big_endian(220000)),
                                          chunk("gAMA", big_endian(1)),
                                          chunk("sRGB", "\0"s),
                                          chunk("gAMA", big_endian(45455)) + chunk("cHRM", chromaticities),
                                          chunk("gAMA", big_endian(45455)) + chunk("cHRM", wide),
                                          chunk("cHRM", wide),
                                          chunk("iCCP", "profile\0\0"s + zlib("no profile")),
                                          chunk("sBIT", "\5\6\5"),
                                          chunk("sBIT", "\5\6\5") + chunk("gAMA", big_endian(100000))};
  const std::string background = chunk("bKGD", "\0\1\0\2\0\3"s), clear = chunk("tRNS", "\0\xff\0\0\0\0"s);
  for (const std::string& before : metadata) {
    CAPTURE(before);
    const auto check_kind = [&](int depth, int colour, const std::string& rows, const std::string& after) {
      const std::string file = png({6, 1, depth, colour}, rows, before + after);
      CHECK(pixels(file, 3, {1, 6, 3}) == plain);
      CHECK(pixels(file, 1, {1, 6, 1}) == grey);
    };
    for (const std::string& after : {""s, background, clear, clear + background}) {
      check_kind(8, 2, colours, after);
      check_kind(16, 2, deep, after);
    }
    check_kind(8, 3, "\0\1\2\3\4\5"s, chunk("PLTE", colours));
    check_kind(8, 3, "\0\1\2\3\4\5"s, chunk("PLTE", colours) + chunk("tRNS", "\0\x80"s) + chunk("bKGD", "\1"));
    check_kind(4, 3, "\x01\x23\x45", chunk("PLTE", colours));
    if (!contains(before, "sBIT")) check_kind(8, 6, rgba, background);
  }
  for (const std::string& gamma : {chunk("gAMA", big_endian(100000)), chunk("sRGB", "\0"s)}) {
    CHECK(pixels(png({3, 1}, "\x01\x80\xf0", gamma), 3, {1, 3, 3}) == Bytes{1, 1, 1, 128, 128, 128, 240, 240, 240});
    CHECK(pixels(png({2, 1, 16}, "\x12\x34\xfe\xff", gamma), 1, {1, 2, 1}) == Bytes{18, 254});
  }
}

TEST_CASE("image file: the format is told by content, not by name") {
  const TemporaryFolder folder;
  if (reads_png()) CHECK(read_image(folder.write("a.jpg", png({1, 1}, "x"))).shape() == Shape{1, 1, 3});
  if (reads_jpeg()) CHECK(read_image(folder.write("a.png", colour_jpeg())).shape() == Shape{8, 16, 3});
}

TEST_CASE("image file: what is missing, a folder, a pipe or no image is named") {
  const TemporaryFolder folder;
  check_refused(folder / "none.png", "No such file");
  check_refused(folder.path(), "directory");
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  check_refused(folder / "pipe", "not a regular file");
  const std::string neither = "neither a PNG nor a JPEG";
  for (const std::string& text : {"{\"shape\": [28, 28],\n \"classes\": 2}\n"s, ""s, "x"s, "\x89PNG"s, "\xff\xd8"s,
                                  "GIF89a and so on"s, "\x89PNG\n\x1a\n with newlines converted"s})
    check_refused(folder.write("image.png", text), neither);
  CHECK_THROWS_WITH_AS(read_image(folder / "x", {.channels = 4}), "read_image: images have 1 or 3 channels, not 4",
                       Error);
}

TEST_CASE("image file: a PNG truncated anywhere, or with any byte changed, is refused or says the same") {
  if (!reads_png()) return;
  const TemporaryFolder folder;
  const std::string good = png({3, 2}, "abcdef");
  for (std::size_t size = 0; size < good.size(); ++size) check_refused(folder.write("cut", good.substr(0, size)));
  for (std::size_t at = 0; at < good.size(); ++at) {
    CAPTURE(at);
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x20);
    check_refused(folder.write("changed", bad), at < 8 ? "neither" : "");
  }
  const std::string text =
      check_refused(folder.write("crc", signature + ihdr({1, 1}) + broken(chunk("IDAT", zlib("\0x"s)))), "damaged");
  CHECK(contains(text, "CRC"));
  check_refused(folder.write("note", png({1, 1}, "x", broken(chunk("tEXt", "a\0b"s)))), "CRC");
}

TEST_CASE("image file: PNGs that make no sense are refused") {
  if (!reads_png()) return;
  const TemporaryFolder folder;
  check_refused(folder.write("zero", signature + ihdr({0, 5}) + chunk("IDAT", zlib("")) + chunk("IEND", "")));
  check_refused(folder.write("depth", png({1, 1, 7}, "x")));
  check_refused(folder.write("colour", png({1, 1, 8, 5}, "xyz")));
  check_refused(folder.write("palette", png({1, 1, 8, 3}, "\1")));
  check_refused(folder.write("short", png({4, 4}, "too short")));
  check_refused(folder.write("nothing", signature + ihdr({1, 1}) + chunk("IEND", "")));
  check_refused(folder.write("huge", signature + "\x7f\xff\xff\xffIHDR"));
}

TEST_CASE("image file: an image of 20,000 x 20,000 or more is refused before memory is allocated") {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& bytes, const std::string& words) {
    const AllocatorStats before = allocator_stats();
    check_refused(folder.write("big", bytes), words);
    const AllocatorStats after = allocator_stats();
    CHECK(after.hits + after.misses == before.hits + before.misses);
  };
  if (reads_png()) {
    for (const std::uint32_t side : {20'000u, 1u << 16, 0x7fffffffu})
      refused(signature + ihdr({side, side}) + chunk("IDAT", zlib("")) + chunk("IEND", ""), "exceeds the 67108864");
    refused(signature + ihdr({20'000, 20'000, 1}) + chunk("IDAT", zlib("")), "20000 x 20000 pixels");
  }
  if (reads_jpeg()) {
    std::string jpeg = colour_jpeg();
    const std::size_t size = jpeg.find("\xff\xc0"s) + 5;
    refused(jpeg.replace(size, 4, "\x4e\x20\x4e\x20"), "20000 x 20000 pixels exceeds the 67108864");
    refused(jpeg.replace(size, 4, "\xff\xdc\xff\xdc"), "65500 x 65500 pixels");
  }
}

TEST_CASE("image file: a header that announces more than the file can hold is refused") {
  if (!reads_png()) return;
  const TemporaryFolder folder;
  check_refused(folder.write("liar", signature + ihdr({8000, 8000, 8, 2}) + chunk("IDAT", zlib("ab"))), "truncated");
}

TEST_CASE("image file: a large image within max_pixels is read, one pixel more is refused") {
  if (!reads_png()) return;
  const TemporaryFolder folder;
  const Tensor zeros = Tensor::zeros({3000, 4000, 1}, {.dtype = DType::u8});  // compresses as far as deflate can
  write_png(folder / "large.png", zeros);
  CHECK(std::filesystem::file_size(folder / "large.png") < 30'000);
  CHECK(same(read_image(folder / "large.png", {.channels = 1, .max_pixels = 12'000'000}), zeros));
  check_refused(folder / "large.png", "4000 x 3000 pixels exceeds the 11999999", {.max_pixels = 11'999'999});
}

TEST_CASE("image file: a JPEG truncated anywhere is refused") {
  if (!reads_jpeg()) return;
  const TemporaryFolder folder;
  for (const std::string& good : {colour_jpeg(), grey_jpeg(), cmyk_jpeg()})
    for (std::size_t size = 0; size < good.size(); ++size) check_refused(folder.write("cut", good.substr(0, size)));
}

TEST_CASE("image file: a progressive JPEG of more scans than anyone needs is refused") {
  if (!reads_jpeg()) return;
  const TemporaryFolder folder;
  const std::string whole = grey_jpeg(), first_scan = "\x2d\xff\xc4"s;
  const std::string end_of_block = "\xff\xc4\x00\x14\x10\x01"s + std::string(16, '\0');  // the code 0
  std::string file = whole.substr(0, whole.find(first_scan) + 1) + end_of_block;
  const auto add_bit = [&](char approximation) {  // of each coefficient, a scan of its own: all zero
    for (char k = 1; k < 64; ++k) file += "\xff\xda\x00\x08\x01\x01\x00"s + k + k + approximation + '\x7f';
  };
  for (const char approximation : {'\x03', '\x32', '\x21'}) add_bit(approximation);
  CHECK(read_image(folder.write("190.jpg", file + "\xff\xd9")).shape() == Shape{8, 8, 3});
  add_bit('\x10');
  check_refused(folder.write("253.jpg", file + "\xff\xd9"), "more than 200 scans");
}

TEST_CASE("image file: 3,000 random changes each of a PNG and two JPEGs load or throw one clear line") {
  const TemporaryFolder folder;
  std::vector<std::string> files;
  if (reads_png()) files = {png({5, 4, 8, 2}, std::string(60, 'x'), chunk("gAMA", big_endian(45455)))};
  if (reads_jpeg()) files.insert(files.end(), {colour_jpeg(), grey_jpeg()});
  for (std::size_t k = 0; k < files.size(); ++k) {
    Random random(k);
    int refused = 0;
    for (int trial = 0; trial < 3000; ++trial) {
      std::string bad = files[k];
      const auto position = [&] { return random.below(static_cast<std::uint32_t>(bad.size())); };
      for (std::uint32_t flips = 1 + random.below(3); flips > 0; --flips)
        bad[position()] = static_cast<char>(random.below(256));
      if (random.below(4) == 0) bad.resize(position());
      const std::string path = folder.write("fuzzed", bad);
      const std::string text = error_of([&] {
        const Tensor image = read_image(path, {.channels = 3, .max_pixels = 1 << 20});
        CHECK(image.numel() <= 3 << 20);
      });
      refused += !text.empty();
      if (!text.empty()) CHECK(contains(text, path));
    }
    CHECK(refused > 500);
  }
}

TEST_CASE("image file: what cannot be written is an error and leaves nothing behind") {
  if (!reads_png()) return;
  const TemporaryFolder folder;
  const Tensor image = noise(4, 4, 3);
  const std::string missing = folder / "none" + "/image.png";
  check_throws([&] { write_png(missing, image); }, missing, "No such file");
  std::filesystem::create_directory(folder / "taken.png");
  folder.write("taken.png/file", "x");
  check_throws([&] { write_png(folder / "taken.png", image); }, folder / "taken.png", "");
  const auto refused = [&](const Tensor& bad) {
    check_throws([&] { write_png(folder / "bad.png", bad); }, folder / "bad.png", "must be u8 [H, W, 1 or 3]");
  };
  refused(noise(4, 4, 2));
  refused(noise(4, 4, 3).to(DType::f32));
  refused(noise(4, 4, 1).raw_view({16}, 0));
  refused(Tensor::empty({0, 4, 3}, {.dtype = DType::u8}));
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
  if (!std::filesystem::exists("/dev/full")) return;
  std::filesystem::create_symlink("/dev/full", folder / "full.png");
  check_throws([&] { write_png(folder / "full.png", image); }, folder / "full.png", "not a regular file");
}
