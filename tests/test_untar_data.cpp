// untar_data: downloading, checking and unpacking in one, by several processes too. Only 127.0.0.1 is contacted.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>

#include "core/check.h"
#include "data/untar_data.h"
#include "tests/bytes.h"
#include "tests/error.h"
#include "tests/files.h"
#include "tests/http_server.h"
#include "tests/optional.h"
#include "tests/tar.h"
#include "tests/temporary_folder.h"

using namespace mixgrad;
using data::untar_data;
using test::check_contains;
using test::content;
using test::error_of;
using test::HttpConnection;
using test::HttpRequest;
using test::HttpServer;
using test::listing;
using test::noise;
using test::sha256;
using test::tar;
using test::TemporaryFolder;

namespace {

namespace fs = std::filesystem;

// An archive as fastai's are: everything in one folder of the archive's name.
const std::string sample = tar({{"sample/", "", '5'},
                                {"sample/train/3/1.png", noise(40'000, 3)},
                                {"sample/train/7/2.png", noise(40'000, 7)},
                                {"sample/labels.csv", "name,label\n"}});
const std::string sample_listing = "labels.csv train train/3 train/3/1.png train/7 train/7/2.png";

bool can_fetch() { return test::can_download() && test::can_unpack(); }

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

TEST_CASE("untar_data: an interrupted download is resumed by the next call") {
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
    const std::size_t before = server.requests().size();
    cache.write("sample.lock", "http://127.0.0.1:1/sample.tgz");
    cache.write("sample.part", noise(old, 9));
    check_sample(untar_data({server.address("/sample.tgz")}, {.cache = cache.path()}), cache);
    CHECK(server.requests().size() == before + 1);
    CHECK(server.requests().back().first == 0);
    cache.remove("sample");
  }
}

TEST_CASE("untar_data: the beginning of an archive from elsewhere is not continued, even where nothing would notice") {
  if (!can_fetch()) return;
  const TemporaryFolder cache;
  const HttpServer server(honest());
  const std::string other = tar({{"sample/", "", '5'},
                                 {"sample/train/3/1.png", noise(40'000, 4)},
                                 {"sample/train/7/2.png", noise(40'000, 8)},
                                 {"sample/labels.csv", "name,label\n"}});
  REQUIRE(other.size() == sample.size());
  for (const std::string source : {"http://127.0.0.1:1/sample.tar", ""}) {
    for (const std::size_t part : {other.size() / 2, other.size()}) {
      cache.write("sample.lock", source);
      cache.write("sample.part", other.substr(0, part));
      const std::size_t before = server.requests().size();
      const data::Url url{server.address("/sample.tar"), static_cast<std::int64_t>(sample.size())};
      check_sample(untar_data(url, {.cache = cache.path()}), cache);
      CHECK(content(cache / "sample/train/3/1.png") == noise(40'000, 3));
      CHECK(server.requests().size() == before + 1);
      cache.remove("sample");
    }
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
