// SHA-256 of texts and files.
#include <doctest/doctest.h>

#include <array>

#include "data/sha256.h"
#include "tests/bytes.h"
#include "tests/error.h"
#include "tests/temporary_folder.h"

using namespace mixgrad;
using test::check_contains;
using test::error_of;
using test::noise;
using test::sha256;
using test::TemporaryFolder;

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
    data::Sha256 pieces;
    for (const char c : text.substr(0, size)) pieces.update(std::array{static_cast<std::uint8_t>(c)});
    CHECK(pieces.finish() == sha256(text.substr(0, size)));
  }
  CHECK(data::sha256_of_file(folder.write("file", noise(200'000))) == sha256(noise(200'000)));
  check_contains(error_of([&] { data::sha256_of_file(folder / "none"); }), folder / "none: cannot be opened");
  check_contains(error_of([&] { data::sha256_of_file(folder.path()); }), folder.path() + ": cannot be read");
}
