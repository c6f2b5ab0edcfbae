// The safetensors format: round trips, files of and for the public Python package, files that lie.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "core/allocator.h"
#include "core/check.h"
#include "core/random.h"
#include "core/safetensors.h"
#include "tests/error.h"
#include "tests/files.h"
#include "tests/optional.h"
#include "tests/same.h"
#include "tests/temporary_folder.h"

using namespace mixgrad;
using test::content;
using test::has_json;
using test::same;
using test::TemporaryFolder;

namespace {

using Metadata = std::map<std::string, std::string>;

// What golden/make_safetensors.py writes, too.
std::vector<NamedTensor> golden_tensors() {
  constexpr std::int32_t most = std::numeric_limits<std::int32_t>::max();
  return {{"pixels", Tensor::from<std::uint8_t>({0, 127, 255}, {3})},
          {"0.weight", Tensor::from({-0.5f, -0.25f, 0.0f, 0.25f, 0.5f, 0.75f}, {2, 3})},
          {"loss", Tensor::from<double>({-1.5e300}, {})},
          {"empty", Tensor::empty({0, 5})},
          {"größe", Tensor::from<std::int32_t>({-1, 0, most, -most - 1}, {4})}};
}
const Metadata golden_metadata = {{"format", "pt"}, {"größe", "a \"quoted\"\nline"}};

// The tensors by name; whether also in the same order is the caller's to check.
void check_same(const std::vector<NamedTensor>& actual, const std::vector<NamedTensor>& expected) {
  REQUIRE(actual.size() == expected.size());
  for (const NamedTensor& named : expected) {
    CAPTURE(named.name);
    const auto found = std::find_if(actual.begin(), actual.end(), [&](const auto& a) { return a.name == named.name; });
    REQUIRE(found != actual.end());
    CHECK(same(found->tensor, named.tensor));
  }
}

// A file with this header and so many bytes of data.
std::string file(const std::string& header, std::size_t data_bytes = 0) {
  std::string bytes;
  for (int shift = 0; shift < 64; shift += 8) bytes += static_cast<char>(header.size() >> shift & 0xff);
  return bytes + header + std::string(data_bytes, '\1');
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return '"' + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

// Reading ends in an error of one line that names the file and holds the words.
void check_refused(const std::string& path, const std::string& words) {
  const std::string text = test::check_refused([&] { read_safetensors(path); }, words);
  CHECK(text.starts_with(path + ": "));
  CHECK(text.size() < path.size() + 400);
}

void check_header_refused(const std::string& header, const std::string& words, std::size_t data_bytes = 0) {
  const TemporaryFolder folder;
  CAPTURE(header.substr(0, 200));
  check_refused(folder.write("liar", file(header, data_bytes)), words);
}

}  // namespace

TEST_CASE("safetensors: tensors of every dtype, scalars and empty ones come back in order, with the metadata") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  write_safetensors(folder / "file", golden_tensors(), golden_metadata);
  const SafeTensors read = read_safetensors(folder / "file");
  check_same(read.tensors, golden_tensors());
  for (std::size_t i = 0; i < read.tensors.size(); ++i) CHECK(read.tensors[i].name == golden_tensors()[i].name);
  CHECK(read.metadata == golden_metadata);
}

TEST_CASE("safetensors: a file without tensors, and parameters, which take part in gradients, come back too") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  write_safetensors(folder / "none", {});
  CHECK(read_safetensors(folder / "none").tensors.empty());
  CHECK(read_safetensors(folder / "none").metadata.empty());
  const Tensor parameter = Tensor::ones({2, 3}).requires_grad_();
  write_safetensors(folder / "file", {{"weight", parameter}});
  const Tensor read = read_safetensors(folder / "file").tensors.at(0).tensor;
  CHECK(same(read, parameter));
  CHECK(!read.requires_grad());
}

TEST_CASE("safetensors: the data begins at a multiple of 64 bytes, and every tensor at one of its element size") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  for (std::string name = "a"; name.size() < 70; name += "a") {
    write_safetensors(folder / "file", {{"odd", Tensor::from<std::uint8_t>({1}, {1})},
                                        {name, Tensor::ones({3})},
                                        {"wide", Tensor::from<double>({1}, {})}});
    const std::string bytes = content(folder / "file");
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data(), sizeof length);
    CHECK((8 + length) % 64 == 0);
    CHECK(bytes.size() == 8 + length + 1 + 12 + 8);
    CHECK(bytes.find(R"("odd":{"dtype":"U8","shape":[1],"data_offsets":[20,21]})") != std::string::npos);
    CHECK(bytes.find(R"("wide":{"dtype":"F64","shape":[],"data_offsets":[0,8]})") != std::string::npos);
  }
}

TEST_CASE("safetensors: a file of the public Python package is read") {
  if (!has_json()) return;
  const SafeTensors read = read_safetensors(MIXGRAD_GOLDEN_DIR "/safetensors_python.safetensors");
  check_same(read.tensors, golden_tensors());
  CHECK(read.metadata == golden_metadata);
}

TEST_CASE("safetensors: the file written is, byte for byte, one that the public Python package has read") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  write_safetensors(folder / "file", golden_tensors(), golden_metadata);
  CHECK(content(folder / "file") == content(MIXGRAD_GOLDEN_DIR "/safetensors_mixgrad.safetensors"));
}

TEST_CASE("safetensors: any bit of the elements that changes is noticed, and so are names, dtypes and shapes") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  write_safetensors(folder / "good", golden_tensors(), golden_metadata);
  const std::string good = content(folder / "good");
  const auto check_damaged = [&](const std::string& bad) { check_refused(folder.write("bad", bad), "damaged"); };
  for (std::size_t bit = 0; bit < 8 * 51; ++bit) {
    std::string bad = good;
    bad[good.size() - 1 - bit / 8] ^= static_cast<char>(1 << bit % 8);
    check_damaged(bad);
  }
  const auto with = [&](const std::string& before, const std::string& after) {
    std::string bad = good;
    REQUIRE(bad.find(before) != std::string::npos);
    return bad.replace(bad.find(before), before.size(), after);
  };
  check_damaged(with("\"pixels\"", "\"pixelt\""));
  check_damaged(with(R"("0.weight":{"dtype":"F32")", R"("0.weight":{"dtype":"I32")"));
  check_damaged(with(R"("pixels":{"dtype":"U8")", R"("pixels":{"dtype":"I8")"));
  check_damaged(with("[2,3]", "[3,2]"));
  check_damaged(with("[0,5]", "[5,0]"));
  check_damaged(with("28cba186857eca0d", "28cba186857eca0c"));
  check_same(read_safetensors(folder.write("other", with("\"pt\"", "\"xx\""))).tensors, golden_tensors());
}

TEST_CASE("safetensors: a file without a checksum is read as it is, and the order of tensors does not change it") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  const auto checksum_in = [&](const std::vector<NamedTensor>& tensors, const Metadata& metadata) {
    write_safetensors(folder / "file", tensors, metadata);
    const std::string key = "\"mixgrad.xxh64\":\"", bytes = content(folder / "file");
    REQUIRE(bytes.find(key) != std::string::npos);
    return bytes.substr(bytes.find(key) + key.size(), 16);
  };
  CHECK(checksum_in({}, {}) == "0000000000000000");
  const std::string checksum = checksum_in(golden_tensors(), golden_metadata);
  std::vector<NamedTensor> others = golden_tensors();
  std::reverse(others.begin(), others.end());
  CHECK(checksum_in(others, {}) == checksum);
  std::swap(others[0].name, others[1].name);
  CHECK(checksum_in(others, {}) != checksum);
  // xxh64("\1\1", xxh64("a U8[2]")), by the reference implementation.
  CHECK(checksum_in({{"a", Tensor::from<std::uint8_t>({1, 1}, {2})}}, {}) == "b44ef7c421e1f048");
  const std::string header = "{" + entry("a", "U8", "[2]", "[0,2]") + "}";
  check_same(read_safetensors(folder.write("plain", file(header, 2))).tensors,
             {{"a", Tensor::from<std::uint8_t>({1, 1}, {2})}});
}

TEST_CASE("safetensors: the public Python package reads the file written") {
  if (!has_json()) return;
  const std::string python = test::python_with_torch();
  if (python.empty()) return;
  const TemporaryFolder folder;
  write_safetensors(folder / "file", golden_tensors(), golden_metadata);
  const std::string script = MIXGRAD_GOLDEN_DIR "/make_safetensors.py";
  CHECK(std::system((python + " '" + script + "' --check '" + (folder / "file") + "'").c_str()) == 0);
}

TEST_CASE("safetensors: names that clash, are reserved or are not UTF-8 are not written, and the old file stays") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  const std::string path = folder / "file";
  write_safetensors(path, {{"old", Tensor::ones({1})}});
  const auto refused = [&](const std::vector<NamedTensor>& tensors, const Metadata& metadata,
                           const std::string& words) {
    CHECK(test::check_refused([&] { write_safetensors(path, tensors, metadata); }, words)
              .starts_with(path + ": cannot be written: "));
  };
  const Tensor one = Tensor::ones({1});
  refused({{"a", one}, {"b", one}, {"a", one}}, {}, R"("a" is given twice)");
  refused({{"__metadata__", one}}, {}, "reserved");
  refused({{"none", Tensor()}}, {}, R"("none" is undefined)");
  refused({{"\xff\xfe", one}}, {}, "not UTF-8");
  refused({{"a", one}}, {{"key", "\xc3"}}, "not UTF-8");
  CHECK(read_safetensors(path).tensors.at(0).name == "old");
}

TEST_CASE("safetensors: a file that is missing, or not a file, is named") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  check_refused(folder / "none", "No such file");
  check_refused(folder.path(), "not a regular file");
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  check_refused(folder / "pipe", "not a regular file");
  check_refused("/dev/zero", "not a regular file");
}

TEST_CASE("safetensors: a file that is empty, truncated anywhere, or too long is refused") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  write_safetensors(folder / "good", golden_tensors(), golden_metadata);
  const std::string good = content(folder / "good");
  for (std::size_t size = 0; size < good.size(); ++size) check_refused(folder.write("cut", good.substr(0, size)), "");
  check_refused(folder.write("cut", good.substr(0, 7)), "shorter than 8 bytes");
  check_refused(folder.write("cut", good.substr(0, 100)), "truncated in its header");
  check_refused(folder.write("cut", good.substr(0, good.size() - 1)), "past the end of the file");
  check_refused(folder.write("long", good + 'x'), "longer than its header announces");
}

TEST_CASE("safetensors: a header length that lies is refused before memory is taken") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  const std::string rest = "{}" + std::string(100, ' ');
  const auto with_length = [&](std::uint64_t length) {
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &length, 8);
    return folder.write("liar", bytes + rest);
  };
  check_refused(with_length(0), "not a JSON object");
  check_refused(with_length(1), "not valid JSON");
  check_refused(with_length(103), "truncated in its header");
  check_refused(with_length(100'000'000), "truncated in its header");
  for (const std::uint64_t length : {std::uint64_t{100'000'001}, std::uint64_t{1} << 63, ~std::uint64_t{0}})
    check_refused(with_length(length), "not a safetensors file");
  CHECK(read_safetensors(with_length(102)).tensors.empty());
}

TEST_CASE("safetensors: a header that is not JSON, or not of the format, is refused") {
  if (!has_json()) return;
  const std::string good = entry("a", "U8", "[1]", "[0,1]");
  for (const char* header : {"{", "{\"a\"", "{\"a\":}", "{}}", "{} x", "{\"\\u12\":1}", "{'a':1}", "{,}", "{\"a\" 1}",
                             "{\"\xff\":{}}", "{// comment\n}", "{\"\n\":{}}"})
    check_header_refused(header, "not valid JSON");
  for (const char* header : {"[]", "\"text\"", "1", "null", " {}", "\xef\xbb\xbf{}", ""})
    check_header_refused(header, "not a JSON object");
  check_header_refused("{" + good + "}" + std::string(1, '\0') + "rest", "not a JSON object", 1);
  for (const char* value : {"1", "-1", "1.5", "1e999", "null", "true", "\"text\"", "[]"})
    check_header_refused(std::string("{\"a\":") + value + "}",
                         value[1] == 'e' ? "JSON" : "tensor \"a\": is not an object");
  check_header_refused("{\"a\":{}}", "lacks its dtype");
  check_header_refused(R"({"a":{"dtype":"U8","shape":[1]}})", "lacks its dtype", 1);
  check_header_refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":1}})", "unknown field \"more\"",
                       1);
  for (const char* value : {"1", "null", "[]", "{}", "[1]", "true"})
    check_header_refused(std::string(R"({"a":{"shape":[],"data_offsets":[0,0],"dtype":)") + value + "}}",
                         "\"dtype\" has");
  for (const char* value : {"1", "null", "{}", "\"[1]\"", "[-1]", "[1.0]", "[\"1\"]", "[null]", "[[1]]", "[{}]",
                            "[true]", "[18446744073709551616]"}) {
    check_header_refused("{" + entry("a", "U8", value, "[0,1]") + "}", "\"shape\" has", 1);
    check_header_refused("{" + entry("a", "U8", "[1]", value) + "}", "\"data_offsets\" has", 1);
  }
  for (const char* value : {"1", "null", "[]", "\"text\""})
    check_header_refused(std::string(R"({"__metadata__":)") + value + "}", "__metadata__: is not an object");
  for (const char* value : {"1", "null", "[]", "{}", "false"})
    check_header_refused(std::string(R"({"__metadata__":{"key":)") + value + "}}", "__metadata__: \"key\" has");
}

TEST_CASE("safetensors: what is named twice is refused") {
  if (!has_json()) return;
  const std::string a = entry("a", "U8", "[1]", "[0,1]");
  check_header_refused("{" + a + "," + entry("a", "U8", "[1]", "[1,2]") + "}", "lists \"a\" twice", 2);
  check_header_refused("{" + a + "," + entry("\\u0061", "U8", "[1]", "[1,2]") + "}", "lists \"a\" twice", 2);
  check_header_refused(R"({"__metadata__":{},"__metadata__":{}})", "lists \"__metadata__\" twice");
  check_header_refused(R"({"__metadata__":{"key":"1","key":"2"}})", "\"key\" twice");
  check_header_refused(R"({"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}})", "\"shape\" twice", 1);
}

namespace {

// The only tensor of a file with these elements.
template <class T>
Tensor read_one(const std::string& dtype, const std::vector<T>& elements) {
  const TemporaryFolder folder;
  const std::size_t size = elements.size() * sizeof(T);
  std::string data(size, ' ');
  std::memcpy(data.data(), elements.data(), size);
  const std::string header =
      "{" + entry("layer.a", dtype, "[" + std::to_string(elements.size()) + "]", "[0," + std::to_string(size) + "]") +
      "}";
  return read_safetensors(folder.write("file", file(header) + data)).tensors.at(0).tensor;
}

}  // namespace

TEST_CASE("safetensors: numbers of 16 bits are read as f32") {
  if (!has_json()) return;
  constexpr float inf = std::numeric_limits<float>::infinity();
  const std::vector<std::uint16_t> half = {0x0000, 0x3c00, 0xc000, 0x3555, 0x7bff,
                                           0x0400, 0x0001, 0x03ff, 0x7c00, 0xfc00};
  CHECK(read_one("F16", half).to_vector<float>() ==
        std::vector<float>{0, 1, -2, 1365 / 4096.0f, 65504, 0x1p-14f, 0x1p-24f, 1023 * 0x1p-24f, inf, -inf});
  const std::vector<std::uint16_t> brain = {0x0000, 0x3f80, 0xc000, 0x7f7f, 0x0001, 0x7f80, 0xff80};
  CHECK(read_one("BF16", brain).to_vector<float>() == std::vector<float>{0, 1, -2, 0x1.fep127f, 0x1p-133f, inf, -inf});
  for (const char* dtype : {"F16", "BF16"}) {
    const auto odd = read_one<std::uint16_t>(dtype, {0x8000, 0x7fff, 0xffff}).to_vector<float>();
    CHECK((odd[0] == 0 && std::signbit(odd[0])));
    CHECK((std::isnan(odd[1]) && std::isnan(odd[2])));
  }
}

TEST_CASE("safetensors: integers are read as i32, truth values as u8") {
  if (!has_json()) return;
  constexpr std::int32_t most = std::numeric_limits<std::int32_t>::max(), least = -most - 1;
  using Integers = std::vector<std::int32_t>;
  CHECK(read_one<std::int64_t>("I64", {0, -1, most, least}).to_vector<std::int32_t>() == Integers{0, -1, most, least});
  CHECK(read_one<std::int16_t>("I16", {-32768, 32767}).to_vector<std::int32_t>() == Integers{-32768, 32767});
  CHECK(read_one<std::int8_t>("I8", {-128, 127, 0}).to_vector<std::int32_t>() == Integers{-128, 127, 0});
  CHECK(read_one<std::uint16_t>("U16", {65535, 1}).to_vector<std::int32_t>() == Integers{65535, 1});
  CHECK(read_one<std::uint32_t>("U32", {2147483647}).to_vector<std::int32_t>() == Integers{most});
  CHECK(read_one<std::uint64_t>("U64", {2147483647, 0}).to_vector<std::int32_t>() == Integers{most, 0});
  CHECK(read_one<std::uint8_t>("BOOL", {0, 1, 1}).to_vector<std::uint8_t>() == std::vector<std::uint8_t>{0, 1, 1});
}

TEST_CASE("safetensors: an integer that i32 can't hold is refused, and its tensor named") {
  if (!has_json()) return;
  const auto refused = [](const char* dtype, auto number) {
    const std::string words = "tensor \"layer.a\": holds " + std::to_string(number) + ", too large for i32";
    test::check_refused([&] { read_one<decltype(number)>(dtype, {0, number}); }, words);
  };
  refused("I64", std::int64_t{1} << 31);
  refused("I64", -(std::int64_t{1} << 31) - 1);
  refused("I64", std::numeric_limits<std::int64_t>::min());
  refused("U32", std::uint32_t{1} << 31);
  refused("U64", ~std::uint64_t{0});
}

TEST_CASE("safetensors: other dtypes are refused by name") {
  if (!has_json()) return;
  for (const char* dtype : {"F8_E4M3", "F8_E5M2", "C64", "I128", "f32", "", "F32 "})
    check_header_refused("{" + entry("layer.a", dtype, "[0]", "[0,0]") + "}",
                         std::string("tensor \"layer.a\": is of dtype \"") + dtype + '"');
}

TEST_CASE("safetensors: shapes that are too large, or do not fit their data, are refused before memory is taken") {
  if (!has_json()) return;
  const AllocatorStats before = allocator_stats();
  const auto refused = [](const std::string& dtype, const std::string& shape, const std::string& words) {
    check_header_refused("{" + entry("a", dtype, shape, "[0,8]") + "}", words, 8);
  };
  for (const char* shape : {"[3]", "[]", "[0]", "[1000000000000]", "[1152921504606846976]", "[0,1152921504606846976]"})
    refused("F32", shape, "does not fit its 8 bytes");
  for (const char* shape : {"[1152921504606846977]", "[9223372036854775807]", "[4611686018427387904]",
                            "[2305843009213693954]", "[0,9223372036854775807]"})
    refused("F32", shape, "more than 2^60 elements");
  refused("F64", "[2]", "does not fit");
  refused("U8", "[2]", "does not fit");
  refused("F32", "[9223372036854775808]", "shape holds 9223372036854775808");
  refused("F32", "[4294967296,4294967296]", "more than 2^60 elements");
  refused("F32", "[9223372036854775807,9223372036854775807,0]", "more than 2^60 elements");
  refused("F32", "[1,1,1,1,1,1,2]", "more than 6 values in shape");
  check_header_refused("{" + entry("a", "F32", "[1]", "[0,3]") + "}", "does not fit its 3 bytes", 3);
  const AllocatorStats after = allocator_stats();
  CHECK(after.hits + after.misses == before.hits + before.misses);
}

TEST_CASE("safetensors: offsets that overlap, leave gaps, go backwards or past the end are refused") {
  if (!has_json()) return;
  const auto refused = [](const std::string& a, const std::string& b, const std::string& words) {
    check_header_refused("{" + entry("a", "U8", "[4]", a) + "," + entry("b", "U8", "[4]", b) + "}", words, 8);
  };
  refused("[0,4]", "[0,4]", "overlaps");
  refused("[0,4]", "[3,7]", "tensor \"b\": its data overlaps");
  refused("[4,8]", "[2,6]", "tensor \"b\": there is a gap before");
  refused("[0,8]", "[2,6]", "overlaps");
  refused("[0,3]", "[4,8]", "tensor \"b\": there is a gap");
  refused("[1,4]", "[4,8]", "tensor \"a\": there is a gap");
  refused("[0,4]", "[4,7]", "longer than its header announces");
  refused("[0,4]", "[4,9]", "tensor \"b\": its data runs past the end");
  refused("[0,4]", "[4,9223372036854775807]", "past the end");
  refused("[4,0]", "[4,8]", "not two ascending values");
  refused("[0,4]", "[9223372036854775807,0]", "not two ascending values");
  for (const char* offsets : {"[]", "[0]", "[0,4,8]"}) refused(offsets, "[4,8]", "not two ascending values");
  refused("[0,4]", "[4,18446744073709551615]", "data_offsets holds 18446744073709551615");
}

TEST_CASE("safetensors: as the format allows, the header may list the data in any order and end in blanks") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  const std::string header = "{" + entry("b", "U8", "[2]", "[3,5]") + "," + entry("none", "F32", "[0]", "[3,3]") + "," +
                             entry("a", "U8", "[3]", "[0,3]") + "} \n\t ";
  const SafeTensors read = read_safetensors(folder.write("file", file(header) + "\1\2\3\4\5"));
  check_same(read.tensors, {{"b", Tensor::from<std::uint8_t>({4, 5}, {2})},
                            {"none", Tensor::empty({0})},
                            {"a", Tensor::from<std::uint8_t>({1, 2, 3}, {3})}});
  CHECK(read.tensors[0].name == "b");
}

TEST_CASE("safetensors: a hundred thousand brackets do not overflow the stack") {
  if (!has_json()) return;
  constexpr std::size_t depth = 100'000;
  std::string objects;
  for (std::size_t i = 0; i < depth; ++i) objects += "{\"a\":";
  check_header_refused(objects, "unknown field");
  check_header_refused("{\"a\":" + std::string(depth, '['), "is not an object");
  check_header_refused("{" + entry("a", "U8", std::string(depth, '['), "[0,1]") + "}", "\"shape\" has");
  check_header_refused("{" + entry("a", "U8", "[" + std::string(depth, ',') + "]", "[0,1]") + "}", "not valid JSON");
}

TEST_CASE("safetensors: names of a megabyte or with line ends make errors of one short line") {
  if (!has_json()) return;
  check_header_refused("{" + entry(std::string(1'000'000, 'n'), "F4", "[0]", "[0,0]") + "}", "nnn...\"");
  check_header_refused("{" + entry("a\\nb\\u0000\\u001b", std::string(1'000'000, 'x'), "[0]", "[0,0]") + "}", "a?b??");
  check_header_refused("{\"" + std::string(1'000'000, 'n'), "not valid JSON");
}

TEST_CASE("safetensors: 5,000 random changes of a file either load or throw one clear line") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  write_safetensors(folder / "good", golden_tensors(), golden_metadata);
  const std::string good = content(folder / "good");
  const std::size_t data = good.size() - 51;
  Random random(3);
  int loaded = 0, refused = 0;
  for (int trial = 0; trial < 5000; ++trial) {
    std::string bad = good;
    const auto position = [&] { return random.below(static_cast<std::uint32_t>(bad.size())); };
    for (std::uint32_t changes = random.below(4); changes > 0; --changes) {
      const std::size_t at = position();
      constexpr const char* structure = "{}[]\",:0123456789-";
      if (random.below(2) == 0) bad[at] = static_cast<char>(random.below(256));
      else bad[at] = structure[random.below(18)];
    }
    if (random.below(8) == 0) bad.resize(position());
    else if (random.below(8) == 0)
      bad.insert(random.below(static_cast<std::uint32_t>(data)), bad.substr(position(), 20));
    const std::string path = folder.write("fuzzed", bad);
    const std::string text = test::error_of([&] {
      std::size_t bytes = 0;
      for (const NamedTensor& named : read_safetensors(path).tensors)
        bytes += static_cast<std::size_t>(named.tensor.numel()) * size_of(named.tensor.dtype());
      CHECK(bytes < bad.size());
    });
    ++(text.empty() ? loaded : refused);
    if (!text.empty()) CHECK(text.starts_with(path));
  }
  CHECK(loaded > 200);  // that both ends are met
  CHECK(refused > 2000);
}
