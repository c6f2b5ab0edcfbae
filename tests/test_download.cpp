// Downloading from servers that are slow, drop the connection or lie. Only 127.0.0.1 is contacted.
#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>

#include "data/untar_data.h"
#include "tests/bytes.h"
#include "tests/error.h"
#include "tests/files.h"
#include "tests/http_server.h"
#include "tests/optional.h"
#include "tests/temporary_folder.h"

using namespace mixgrad;
using test::can_download;
using test::check_contains;
using test::content;
using test::error_of;
using test::HttpConnection;
using test::HttpRequest;
using test::HttpServer;
using test::noise;
using test::TemporaryFolder;

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
  SUBCASE("the server sends another range than requested") {
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
    check_contains(text, "the server has stopped sending");
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

TEST_CASE("download: more than max_bytes is refused, whether or not it is announced") {
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
    CHECK(std::filesystem::file_size(folder / "file") <= 50'000);
  }
}

TEST_CASE("download: a disk that is full, or a folder that is not there, is an error") {
  if (!can_download()) return;
  const TemporaryFolder folder;
  const HttpServer server([&](const HttpRequest&, HttpConnection& client) { client.send_file({}, noise(300'000)); });
  check_contains(error_of([&] { data::download(server.address("/x"), folder / "none/file"); }), "No such file");
  check_contains(error_of([&] { data::download(server.address("/x"), "/dev/full"); }), "No space left on device");
}

TEST_CASE("sha256: of a file of any length, or an error that names it") {
  if (!test::can_download()) return;
  const TemporaryFolder folder;
  const auto sha256 = [&](const std::string& bytes) { return data::sha256_of_file(folder.write("file", bytes)); };
  CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256(std::string(1'000'000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  check_contains(error_of([&] { data::sha256_of_file(folder / "none"); }), folder / "none: cannot be opened");
  check_contains(error_of([&] { data::sha256_of_file(folder.path()); }), folder.path() + ": cannot be read");
}
