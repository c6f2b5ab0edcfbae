// Unpacking archives, including truncated and hostile ones.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>

#include "core/random.h"
#include "data/untar_data.h"
#include "tests/bytes.h"
#include "tests/error.h"
#include "tests/files.h"
#include "tests/optional.h"
#include "tests/tar.h"
#include "tests/temporary_folder.h"

using namespace mixgrad;
using test::can_unpack;
using test::check_contains;
using test::content;
using test::error_of;
using test::listing;
using test::noise;
using test::tar;
using test::TemporaryFolder;

namespace {

namespace fs = std::filesystem;

// "gzip" and the like over a file; false, with a message, when there is no such command.
bool compress(const std::string& command, const std::string& path) {
  if (std::system((command + " '" + path + "' 2>/dev/null").c_str()) == 0) return true;
  MESSAGE("skipped: there is no ", command);
  return false;
}

// Unpacking these bytes ends in an error that holds the words, and leaves nothing, inside or outside.
void check_unpack_refused(const std::string& bytes, const std::string& words, std::int64_t max_bytes = 1 << 20) {
  const TemporaryFolder folder;
  const std::string archive = folder.write("archive", bytes);
  fs::create_directory(folder / "deep");
  const std::string text = error_of([&] { data::unpack(archive, folder / "deep/out", max_bytes); });
  check_contains(text, archive + ": ");
  check_contains(text, words);
  CHECK(listing(folder.path()) == "archive deep");
}

}  // namespace

TEST_CASE("archive: files and folders come out as they went in, plain or from gzip") {
  if (!can_unpack()) return;
  const TemporaryFolder folder;
  const std::string large = noise(200'000);
  const std::string archive = folder.write(
      "plain", tar({{"./", "", '5'}, {"./a/", "", '5'}, {"a/one", "1"}, {"./b/c/large", large}, {"empty"}}));
  const auto check_content = [&](const std::string& out) {
    CHECK(listing(out) == "a a/one b b/c b/c/large empty");
    CHECK(content(out + "/a/one") == "1");
    CHECK(content(out + "/b/c/large") == large);
  };
  data::unpack(archive, folder / "out");
  check_content(folder / "out");
  if (!compress("gzip", archive)) return;
  data::unpack(archive + ".gz", folder / "from gzip");
  check_content(folder / "from gzip");
}

TEST_CASE("archive: long names and names in other scripts come out of what tar makes") {
  if (!can_unpack()) return;
  const TemporaryFolder folder;
  const std::string name = "größe-" + std::string(150, 'x');
  folder.write(name, "text");
  for (const std::string format : {"pax", "gnu", "ustar"}) {
    const std::string archive = folder / (format + ".tar"), out = folder / format;
    if (std::system(("cd '" + folder.path() + "' && tar --format=" + format + " -cf " + format + ".tar '" + name +
                     "' 2>/dev/null")
                        .c_str()) != 0)
      continue;  // ustar can't hold such a name
    data::unpack(archive, out);
    CHECK(content(out + "/" + name) == "text");
  }
}

TEST_CASE("archive: entries that would leave the folder are refused, and nothing is left") {
  if (!can_unpack()) return;
  for (const char* name : {"/tmp/mixgrad-evil", "../evil", "a/../../evil", "..", "a/..", "./../evil", "//evil"})
    for (const char type : {'0', '5'})
      check_unpack_refused(tar({{"good", "x"}, {name, "", type}}), "would leave the folder");
  CHECK(!fs::exists("/tmp/mixgrad-evil"));
}

TEST_CASE("archive: links and devices are refused, wherever they point") {
  if (!can_unpack()) return;
  const auto refused = [](const test::TarEntry& entry) {
    check_unpack_refused(tar({{"good", "x"}, entry, {"link/file", "through the link"}}), "neither a file nor a folder");
  };
  for (const char* target : {"..", "/etc", "good", "../../evil", "/etc/passwd"})
    for (const char type : {'1', '2'}) refused({.name = "link", .type = type, .link = target});
  for (const char type : {'3', '4', '6'}) refused({.name = "device", .type = type});
}

TEST_CASE("archive: what appears twice, or as a file and a folder, is refused") {
  if (!can_unpack()) return;
  check_unpack_refused(tar({{"a", "1"}, {"a", "2"}}), "\"a\": cannot be written: File exists");
  check_unpack_refused(tar({{"a", "1"}, {"a/b", "2"}}), "\"a/b\": cannot be written");
  check_unpack_refused(tar({{"a/b", "1"}, {"a", "2"}}), "\"a\": cannot be written");
}

TEST_CASE("archive: names that no line of text could hold make an error of one short line") {
  if (!can_unpack()) return;
  check_unpack_refused(tar({{"../a\nb\x1b[31m"}}), "a?b?[31m");
  const std::string deep = std::string(3000, 'd');  // longer than a name may be
  check_unpack_refused(tar({{"././@LongLink", deep + '\0', 'L'}, {"d", "x"}}), "cannot be written: File name too long");
}

TEST_CASE("archive: one that unpacks to more than max_bytes is refused, whatever it claims") {
  if (!can_unpack()) return;
  check_unpack_refused(tar({{"a", std::string(300'000, 'x')}}), "more than is allowed", 200'000);
  std::vector<test::TarEntry> many;
  for (int i = 0; i < 100; ++i) many.push_back({"folder" + std::to_string(i), "", '5'});
  check_unpack_refused(tar(many), "more than is allowed", 200'000);
  check_unpack_refused(tar({{.name = "a", .content = "short", .size = std::size_t{1} << 32}}), "Truncated");
  const TemporaryFolder folder;
  const std::string zeros = folder.write("zeros", tar({{"a", std::string(20'000'000, '\0')}}));
  if (!compress("gzip", zeros)) return;
  CHECK(fs::file_size(zeros + ".gz") < 50'000);
  check_unpack_refused(content(zeros + ".gz"), "more than is allowed");
}

TEST_CASE("archive: what is not an archive, or is empty, truncated or damaged, is refused") {
  if (!can_unpack()) return;
  check_unpack_refused("", "cannot be unpacked");
  check_unpack_refused("<html>404</html>", "cannot be unpacked");
  check_unpack_refused(noise(100'000), "cannot be unpacked");
  check_unpack_refused(tar({}), "cannot be unpacked");
  const std::string plain = tar({{"a", noise(3000)}, {"b", noise(3000, 2)}});
  for (const std::size_t size : {std::size_t{100}, std::size_t{511}, std::size_t{600}, std::size_t{3000}})
    check_unpack_refused(plain.substr(0, size), "");
  const TemporaryFolder folder;
  const std::string file = folder.write("good", plain);
  if (!compress("gzip", file)) return;
  const std::string good = content(file + ".gz");
  for (std::size_t size = 0; size < good.size(); size += 97) check_unpack_refused(good.substr(0, size), "");
  for (const std::size_t missing : {1u, 4u, 8u, 9u}) check_unpack_refused(good.substr(0, good.size() - missing), "");
  for (std::size_t at = 20; at < good.size(); at += 89) {  // the checksum notices a change anywhere
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    check_unpack_refused(bad, "");
  }
  check_contains(error_of([&] { data::unpack(folder / "none", folder / "out"); }), folder / "none: cannot be opened");
  check_contains(error_of([&] { data::unpack(file + ".gz", folder.path()); }), folder.path() + ": cannot be created");
}

TEST_CASE("archive: a compressed one is read to the end of its checksum, whatever its length") {
  if (!can_unpack()) return;
  const TemporaryFolder folder;
  for (const std::size_t size : {1u << 18, 1u << 20, 5u << 18}) {
    CAPTURE(size);
    const std::string plain = tar({{"a", noise(size - 1536)}});
    REQUIRE(plain.size() == size);
    const std::string file = folder.write("tar", plain);
    if (!compress("gzip", file)) return;
    const std::string good = content(file + ".gz");
    data::unpack(file + ".gz", folder / "out", 1 << 22);
    folder.remove("out");
    folder.remove("tar.gz");
    for (std::size_t missing = 1; missing < 12; ++missing)
      check_unpack_refused(good.substr(0, good.size() - missing), "truncated", 1 << 22);
    for (std::size_t back = 1; back < 9; ++back) {
      std::string bad = good;
      bad[good.size() - back] = static_cast<char>(bad[good.size() - back] ^ 1);
      check_unpack_refused(bad, "gzip", 1 << 22);
    }
  }
}

TEST_CASE("archive: one that ends between two files, without the end marker, is truncated") {
  if (!can_unpack()) return;
  const std::string whole = tar({{"a", noise(3000)}, {"b", noise(512)}, {"c", std::string(2048, '\0')}});
  const std::size_t end = whole.size() - 1024;
  for (const std::size_t size : {end, end - 512 - 2048, end - 1024 - 512 - 2048, end - 512})
    check_unpack_refused(whole.substr(0, size), "");
  check_unpack_refused(whole.substr(0, end), "truncated");
  check_unpack_refused(whole.substr(0, 512 + 3072), "truncated");
  const TemporaryFolder folder;
  data::unpack(folder.write("lone", whole.substr(0, end + 512)), folder / "out");  // as others take it
  CHECK(listing(folder / "out") == "a b c");
}

TEST_CASE("archive: random changes of an archive unpack or throw one clear line") {
  if (!can_unpack()) return;
  const TemporaryFolder folder;
  const std::string good = tar({{"a/", "", '5'}, {"a/b", "12345"}, {"c", std::string(600, 'x')}, {"d", "1"}});
  Random random(5);
  for (int trial = 0; trial < 500; ++trial) {
    std::string bad = good;
    const auto position = [&] { return random.below(static_cast<std::uint32_t>(bad.size())); };
    for (std::uint32_t changes = random.below(4); changes > 0; --changes)
      bad[position()] = static_cast<char>(random.below(256));
    if (random.below(4) == 0) bad.resize(position());
    const std::string archive = folder.write("fuzzed", bad);
    const std::string text = error_of([&] { data::unpack(archive, folder / "out", 1 << 20); });
    CHECK((text.empty() || text.starts_with(archive)));
    CHECK(fs::exists(folder / "out") == text.empty());
    folder.remove("out");
  }
}
