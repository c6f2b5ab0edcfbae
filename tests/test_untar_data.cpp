// SHA-256, unpacking, downloading, and the three together, from servers and archives that are slow, cut off or lie.
// Only 127.0.0.1 is contacted.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "core/check.h"
#include "core/random.h"
#include "data/archive.h"
#include "data/download.h"
#include "data/sha256.h"
#include "data/untar_data.h"
#include "tests/http_server.h"
#include "tests/tar.h"
#include "tests/temporary_folder.h"

using namespace mixgrad;
using data::Sha256;
using data::untar_data;
using test::HttpConnection;
using test::HttpRequest;
using test::HttpServer;
using test::tar;
using test::TemporaryFolder;

namespace {

namespace fs = std::filesystem;

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Every file and folder in a folder, by its relative name, sorted and separated by blanks.
std::string listing(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    names.push_back(fs::relative(entry.path(), folder).string());
  std::sort(names.begin(), names.end());
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
  return text;
}

// Numbers that no compression shrinks.
std::string noise(std::size_t count, std::uint64_t seed = 1) {
  Random random(seed);
  std::string bytes(count, ' ');
  for (char& byte : bytes) byte = static_cast<char>(random.below(256));
  return bytes;
}

std::string sha256(const std::string& text) {
  Sha256 hash;
  hash.update({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  return hash.finish();
}

// The error's text, which must be one line; empty when there is none.
template <class F>
std::string error_of(F&& f) {
  std::string text;
  try {
    f();
  } catch (const Error& error) {
    text = error.what();
    CHECK(text.find('\n') == std::string::npos);
  }
  return text;
}

void check_contains(const std::string& text, const std::string& words) {
  CAPTURE(words);
  INFO(text);
  CHECK(text.find(words) != std::string::npos);
}

// False, with a message, when the text is that of a build without the library.
bool is_built(const std::string& error) {
  if (error.find("(built without") == std::string::npos) return true;
  MESSAGE("skipped: ", error);
  return false;
}
bool can_unpack() {
  const TemporaryFolder folder;
  return is_built(error_of([&] { data::unpack(folder.write("probe", tar({{"file"}})), folder / "out"); }));
}
bool can_download() {
  const TemporaryFolder folder;
  return is_built(error_of([&] { data::download("http://127.0.0.1:1/", folder / "out"); }));
}

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

TEST_CASE("sha256: the test vectors of NIST") {
  CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256(std::string(1'000'000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("sha256: the hash does not depend on the pieces, and is that of the file") {
  const TemporaryFolder folder;
  const std::string text = noise(300);
  for (std::size_t size = 0; size <= 130; ++size) {
    Sha256 pieces;
    for (const char c : text.substr(0, size)) pieces.update(std::array{static_cast<std::uint8_t>(c)});
    CHECK(pieces.finish() == sha256(text.substr(0, size)));
  }
  CHECK(data::sha256_of_file(folder.write("file", noise(200'000))) == sha256(noise(200'000)));
  check_contains(error_of([&] { data::sha256_of_file(folder / "none"); }), folder / "none: cannot be opened");
  check_contains(error_of([&] { data::sha256_of_file(folder.path()); }), folder.path() + ": cannot be read");
}

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

TEST_CASE("archive: one that unpacks to more than is allowed is refused, whatever it claims") {
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

TEST_CASE("archive: what is none, holds nothing, or is cut off or damaged is refused") {
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
  check_contains(error_of([&] { data::unpack(file + ".gz", folder.path()); }), folder.path() + ": cannot be made");
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

TEST_CASE("download: a file comes as it is, and is continued where it ends") {
  if (!can_download()) return;
  const TemporaryFolder folder;
  const std::string body = noise(100'000), path = folder / "file";
  const HttpServer server([&](const HttpRequest& request, HttpConnection& client) { client.send_file(request, body); });
  CHECK(!data::download(server.address("/file"), path));
  CHECK(content(path) == body);
  for (const std::size_t first : {std::size_t{1}, std::size_t{50'000}, body.size() - 1}) {
    folder.write("file", body.substr(0, first));
    CHECK(data::download(server.address("/file"), path));
    CHECK(content(path) == body);
    CHECK(server.requests().back().first == static_cast<std::int64_t>(first));
  }
}

TEST_CASE("download: where nothing can be continued, the file is begun anew") {
  if (!can_download()) return;
  const TemporaryFolder folder;
  const std::string body = noise(10'000), path = folder / "file";
  SUBCASE("the server ignores Range") {
    const HttpServer server([&](const HttpRequest&, HttpConnection& client) { client.send_file({}, body); });
    folder.write("file", "something old");
    CHECK(!data::download(server.address("/file"), path));
  }
  SUBCASE("the server sends another part than was asked for") {
    const HttpServer server([&](const HttpRequest& request, HttpConnection& client) {
      if (request.first == 0) return client.send_file({}, body);
      client.send_head("206 Partial Content", body.size() - 1, "Content-Range: bytes 1-9999/10000\r\n");
      client.send(body.substr(1));
    });
    folder.write("file", body.substr(0, 5000));
    CHECK(!data::download(server.address("/file"), path));
  }
  SUBCASE("there is no rest") {
    const HttpServer server(
        [&](const HttpRequest& request, HttpConnection& client) { client.send_file(request, body); });
    folder.write("file", body + "more");
    CHECK(!data::download(server.address("/file"), path));
  }
  CHECK(content(path) == body);
}

TEST_CASE("download: a connection that is cut keeps what has arrived") {
  if (!can_download()) return;
  const TemporaryFolder folder;
  const std::string body = noise(100'000), path = folder / "file";
  const HttpServer server([&](const HttpRequest& request, HttpConnection& client) {
    if (request.first > 0) return client.send_file(request, body);
    client.send_head("200 OK", body.size());
    client.send(body.substr(0, 60'000));
  });
  check_contains(error_of([&] { data::download(server.address("/file"), path); }),
                 server.address("/file") + ": download failed: ");
  CHECK(content(path) == body.substr(0, 60'000));
  CHECK(data::download(server.address("/file"), path));
  CHECK(content(path) == body);
}

TEST_CASE("download: a server that stalls is given up, before its answer and in the middle of it") {
  if (!can_download()) return;
  const TemporaryFolder folder;
  const HttpServer server([&](const HttpRequest& request, HttpConnection& client) {
    if (request.target == "/middle") {
      client.send_head("200 OK", 1000);
      client.send("beginning");
    }
    client.wait_until_client_leaves();
  });
  for (const char* target : {"/silent", "/middle"}) {
    const auto start = std::chrono::steady_clock::now();
    const std::string text =
        error_of([&] { data::download(server.address(target), folder / "file", {.stall_seconds = 0.2}); });
    check_contains(text, "the server sends nothing any more");
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));  // not for ever; machines can be slow
  }
  CHECK(content(folder / "file") == "beginning");
}

TEST_CASE("download: refusals of the server, and addresses that are none, are named") {
  if (!can_download()) return;
  const TemporaryFolder folder;
  const HttpServer server([&](const HttpRequest& request, HttpConnection& client) {
    if (request.target == "/loop") client.send_head("302 Found", 0, "Location: /loop\r\n");
    else if (request.target == "/file") client.send_head("302 Found", 0, "Location: file:///etc/passwd\r\n");
    else if (request.target == "/ftp") client.send_head("302 Found", 0, "Location: ftp://127.0.0.1/x\r\n");
    else if (request.target == "/there") client.send_file({}, "arrived");
    else if (request.target == "/moved") client.send_head("301 Moved", 0, "Location: /there\r\n");
    else if (request.target == "/garbage") client.send("this is no HTTP\r\n\r\n");
    else if (request.target == "/nothing") return;
    else client.send_head(request.target.substr(1) + " Refused", 5), client.send("sorry");
  });
  const auto refused = [&](const std::string& address, const std::string& words) {
    const std::string text = error_of([&] { data::download(address, folder / "out"); });
    check_contains(text, address + ": download failed: ");
    check_contains(text, words);
    CHECK(content(folder / "out") == "");
  };
  for (const char* status : {"404", "403", "500", "503"})
    refused(server.address(std::string("/") + status), std::string("the server answers ") + status);
  refused(server.address("/loop"), "redirect");
  refused(server.address("/file"), "rotocol");
  refused(server.address("/ftp"), "rotocol");
  refused(server.address("/garbage"), "");
  refused(server.address("/nothing"), "");
  refused("file:///etc/passwd", "rotocol");
  refused("http://127.0.0.1:1/file", "onnect");
  refused("", "");
  refused("no address at all", "");
  data::download(server.address("/moved"), folder / "out");
  CHECK(content(folder / "out") == "arrived");
}

TEST_CASE("download: whoever sends more than is allowed is refused, whether or not it says so") {
  if (!can_download()) return;
  const TemporaryFolder folder;
  const HttpServer server([&](const HttpRequest& request, HttpConnection& client) {
    if (request.target == "/honest") return client.send_file({}, noise(100'000));
    client.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    client.send(noise(100'000));
  });
  for (const char* target : {"/honest", "/quiet"}) {
    folder.remove("file");
    const std::string text =
        error_of([&] { data::download(server.address(target), folder / "file", {.max_bytes = 50'000}); });
    check_contains(text, "sends more than 50000 bytes");
    CHECK(fs::file_size(folder / "file") <= 50'000);
  }
}

TEST_CASE("download: a disk that is full, or a folder that is not there, is an error") {
  if (!can_download()) return;
  const TemporaryFolder folder;
  const HttpServer server([&](const HttpRequest&, HttpConnection& client) { client.send_file({}, noise(300'000)); });
  check_contains(error_of([&] { data::download(server.address("/x"), folder / "none/file"); }), "No such file");
  check_contains(error_of([&] { data::download(server.address("/x"), "/dev/full"); }), "No space left on device");
}

namespace {

// An archive as fastai's are: everything in one folder of the archive's name.
const std::string sample = tar({{"sample/", "", '5'},
                                {"sample/train/3/1.png", noise(40'000, 3)},
                                {"sample/train/7/2.png", noise(40'000, 7)},
                                {"sample/labels.csv", "name,label\n"}});
const std::string sample_listing = "labels.csv train train/3 train/3/1.png train/7 train/7/2.png";

bool can_fetch() { return can_download() && can_unpack(); }

void check_sample(const std::string& folder, const TemporaryFolder& cache) {
  CHECK(folder == cache / "sample");
  CHECK(listing(folder) == sample_listing);
  CHECK(content(folder + "/train/7/2.png") == noise(40'000, 7));
  for (const auto& entry : fs::directory_iterator(cache.path())) {
    const std::string name = entry.path().filename().string();
    CHECK_MESSAGE((name == "sample" || name == "sample.lock"), name);
  }
}

HttpServer::Answer honest() {
  return [](const HttpRequest& request, HttpConnection& client) { client.send_file(request, sample); };
}

// Ends in an error that holds the words; the cache has no folder, nor the beginning of one.
void check_fetch_refused(const data::Url& url, const TemporaryFolder& cache, const std::string& words) {
  const std::string text = error_of([&] { untar_data(url, {.cache = cache.path(), .stall_seconds = 0.2}); });
  check_contains(text, url.address + ": ");
  check_contains(text, words);
  CHECK(!fs::exists(cache / "sample"));
  CHECK(!fs::exists(cache / "sample.unpacking"));
}

// Runs f in a process of its own, which ends with code 0 if f returns.
template <class F>
pid_t start_process(F&& f) {
  const pid_t process = fork();
  REQUIRE(process >= 0);
  if (process > 0) return process;
  try {
    f();
    _exit(0);
  } catch (...) {
    _exit(1);
  }
}

int exit_code(pid_t process) {
  int status = 0;
  waitpid(process, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("untar_data: an archive is downloaded and unpacked once") {
  if (!can_fetch()) return;
  const TemporaryFolder cache;
  const HttpServer server(honest());
  const auto size = static_cast<std::int64_t>(sample.size());
  for (const data::Url& url : {data::Url{server.address("/sample.tgz")},
                               {server.address("/data/sample.tar.gz?version=2"), size},
                               {server.address("/sample.tar"), size, sha256(sample)}}) {
    const std::size_t before = server.requests().size();
    check_sample(untar_data(url, {.cache = cache.path()}), cache);
    CHECK(server.requests().size() == before + 1);
    check_sample(untar_data(url, {.cache = cache.path()}), cache);
    CHECK(server.requests().size() == before + 1);
    cache.remove("sample");
  }
}

TEST_CASE("untar_data: a cache that does not exist is made, and is XDG_CACHE_HOME or in HOME unless given") {
  if (!can_fetch()) return;
  const TemporaryFolder folder;
  const HttpServer server(honest());
  const char* before = std::getenv("XDG_CACHE_HOME");
  const std::string kept = before == nullptr ? "" : before;
  setenv("XDG_CACHE_HOME", (folder / "a/b").c_str(), 1);
  CHECK(untar_data({server.address("/sample.tgz")}) == folder / "a/b/mixgrad/sample");
  CHECK(listing(folder / "a/b/mixgrad/sample") == sample_listing);
  setenv("XDG_CACHE_HOME", "relative", 1);
  CHECK(data::cache_folder() == std::string(std::getenv("HOME")) + "/.cache/mixgrad");
  if (before == nullptr) unsetenv("XDG_CACHE_HOME");
  else setenv("XDG_CACHE_HOME", kept.c_str(), 1);
}

TEST_CASE("untar_data: an archive of several folders is unpacked as it is") {
  if (!can_fetch()) return;
  const TemporaryFolder cache;
  const HttpServer server([](const HttpRequest&, HttpConnection& client) {
    client.send_file({}, tar({{"train/1", "x"}, {"valid/1", "y"}}));
  });
  CHECK(listing(untar_data({server.address("/set.tar")}, {.cache = cache.path()})) == "train train/1 valid valid/1");
}

TEST_CASE("untar_data: what was cut off is continued by the next call") {
  if (!can_fetch()) return;
  const TemporaryFolder cache;
  const std::size_t half = sample.size() / 2;
  const HttpServer server([&](const HttpRequest& request, HttpConnection& client) {
    if (request.first > 0) return client.send_file(request, sample);
    client.send_head("200 OK", sample.size());
    client.send(sample.substr(0, half));
  });
  const data::Url url{server.address("/sample.tgz")};
  check_fetch_refused(url, cache, "download failed");
  CHECK(fs::file_size(cache / "sample.part") == half);
  check_sample(untar_data(url, {.cache = cache.path()}), cache);
  CHECK(server.requests().back().first == static_cast<std::int64_t>(half));
}

TEST_CASE("untar_data: a beginning of another version is thrown away") {
  if (!can_fetch()) return;
  const TemporaryFolder cache;
  const HttpServer server(honest());
  const auto size = static_cast<std::int64_t>(sample.size());
  for (const std::size_t old : {std::size_t{1000}, sample.size(), sample.size() + 1000}) {
    for (const data::Url& url : {data::Url{server.address("/sample.tgz"), size},
                                 {server.address("/sample.tgz"), size, sha256(sample)},
                                 {server.address("/sample.tgz")}}) {
      cache.write("sample.lock", url.address);
      cache.write("sample.part", noise(old, 9));
      check_sample(untar_data(url, {.cache = cache.path()}), cache);
      cache.remove("sample");
    }
    cache.write("sample.lock", "http://127.0.0.1:1/sample.tgz");
    cache.write("sample.part", noise(old, 9));
    check_sample(untar_data({server.address("/sample.tgz")}, {.cache = cache.path()}), cache);
    CHECK(server.requests().back().first == 0);
    cache.remove("sample");
  }
}

TEST_CASE("untar_data: another size, hash or content is refused and not kept") {
  if (!can_fetch()) return;
  const TemporaryFolder cache;
  const HttpServer server([](const HttpRequest& request, HttpConnection& client) {
    if (request.target.starts_with("/evil")) return client.send_file(request, tar({{"../evil", "x"}}));
    if (request.target.starts_with("/bad")) return client.send_file(request, "<html>Please log in</html>");
    if (request.target.starts_with("/none")) return client.send_head("404 Not Found", 0);
    if (request.target.starts_with("/short")) {  // announces less than it sends
      client.send_head("200 OK", 1000);
      return client.send(sample);
    }
    client.send_file(request, sample);
  });
  const auto size = static_cast<std::int64_t>(sample.size());
  check_fetch_refused({server.address("/sample.tgz"), size + 1}, cache, "bytes, not");
  check_fetch_refused({server.address("/sample.tgz"), size - 1}, cache, "sends more than");
  cache.remove("sample.part");
  check_fetch_refused({server.address("/sample.tgz"), size, sha256("other")}, cache,
                      "has the SHA-256 " + sha256(sample));
  check_fetch_refused({server.address("/bad/sample.tgz")}, cache, "cannot be unpacked");
  check_fetch_refused({server.address("/evil/sample.tgz")}, cache, "would leave the folder");
  check_fetch_refused({server.address("/none/sample.tgz")}, cache, "answers 404");
  check_fetch_refused({server.address("/short/sample.tgz")}, cache, "");
  check_fetch_refused({server.address("/short/sample.tgz"), size}, cache, "1000 bytes, not");
  check_fetch_refused({"http://127.0.0.1:1/sample.tgz"}, cache, "download failed");
  CHECK(!fs::exists(cache / "evil"));
  cache.remove("sample.part");  // of the server that announced less
  const data::Url good{server.address("/sample.tgz"), size, sha256(sample)};
  check_sample(untar_data(good, {.cache = cache.path()}), cache);
}

TEST_CASE("untar_data: an archive of the same name from elsewhere is not taken for this one") {
  if (!can_fetch()) return;
  const TemporaryFolder cache;
  const HttpServer server(honest());
  const std::string folder = untar_data({server.address("/sample.tgz")}, {.cache = cache.path()});
  const std::string text = error_of([&] { untar_data({"http://127.0.0.1:1/sample.tgz"}, {.cache = cache.path()}); });
  check_contains(text, "holds another archive, from " + server.address("/sample.tgz"));
  cache.remove("sample.lock");  // as if someone had put the folder there
  CHECK(untar_data({"http://127.0.0.1:1/sample.tgz"}, {.cache = cache.path()}) == folder);
}

TEST_CASE("untar_data: addresses without a name, and caches that can't be, are errors") {
  const TemporaryFolder cache;
  for (const char* address : {"", "http://127.0.0.1:1/", "http://127.0.0.1:1/.tgz", "http://127.0.0.1:1/..",
                              "http://127.0.0.1:1/?sample.tgz"})
    check_contains(error_of([&] { untar_data({address}, {.cache = cache.path()}); }), "does not end in the name");
  cache.write("file", "");
  check_contains(error_of([&] { untar_data({"http://127.0.0.1:1/a.tgz"}, {.cache = cache / "file"}); }),
                 cache / "file");
  CHECK(listing(cache.path()) == "file");
}

TEST_CASE("untar_data: of several processes at once one downloads, and all find the folder") {
  if (!can_fetch()) return;
  const TemporaryFolder cache;
  const HttpServer server([](const HttpRequest& request, HttpConnection& client) {
    usleep(100'000);  // that the others come while it lasts
    client.send_file(request, sample);
  });
  const data::Url url{server.address("/sample.tgz")};
  std::vector<pid_t> processes;
  for (int i = 0; i < 4; ++i)
    processes.push_back(start_process(
        [&] { check(listing(untar_data(url, {.cache = cache.path()})) == sample_listing, "not complete"); }));
  for (const pid_t process : processes) CHECK(exit_code(process) == 0);
  CHECK(server.requests().size() == 1);
  check_sample(untar_data(url, {.cache = cache.path()}), cache);
}

TEST_CASE("untar_data: a process that is killed is in nobody's way, and the next continues its download") {
  if (!can_fetch()) return;
  const TemporaryFolder cache;
  const HttpServer server([](const HttpRequest& request, HttpConnection& client) {
    if (request.first > 0) return client.send_file(request, sample);
    client.send_head("200 OK", sample.size());
    client.send(sample.substr(0, 50'000));
    client.wait_until_client_leaves();
  });
  const data::Url url{server.address("/sample.tgz")};
  const pid_t process = start_process([&] { untar_data(url, {.cache = cache.path()}); });
  const auto arrived = [&] { return fs::exists(cache / "sample.part") ? fs::file_size(cache / "sample.part") : 0; };
  for (int i = 0; i < 1000 && arrived() < 40'000; ++i) usleep(10'000);
  kill(process, SIGKILL);
  CHECK(exit_code(process) == -1);
  const auto first = static_cast<std::int64_t>(arrived());
  CHECK(first >= 40'000);
  fs::create_directories(cache / "sample.unpacking/sample");  // as if it had been killed later
  cache.write("sample.unpacking/sample/half", "");
  check_sample(untar_data(url, {.cache = cache.path()}), cache);
  CHECK(server.requests().back().first == first);
}

TEST_CASE("untar_data: fastai's archives are named as fastai names them") {
  for (const data::Url& url : {data::url::mnist_sample, data::url::mnist_tiny, data::url::mnist, data::url::cifar10}) {
    CHECK(url.address.starts_with("https://s3.amazonaws.com/fast-ai-"));
    CHECK(url.address.ends_with(".tgz"));
    CHECK(url.bytes > 0);
  }
}
