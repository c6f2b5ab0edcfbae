// SHA-256 of texts and files.
#include <doctest/doctest.h>

#include "data/untar_data.h"
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

TEST_CASE("sha256: of texts of every length about one and two blocks") {
  std::string hashes;
  for (std::size_t size = 0; size <= 130; ++size) hashes += sha256(std::string(size, 'a'));
  CHECK(sha256(hashes) == "5eee4c50e1b5ec4f1a47f34c25ca988850b49da7904f5ab1b3abc5cc0ae66ef9");  // Python's hashlib
}

TEST_CASE("sha256: of a file, or an error that names it") {
  const TemporaryFolder folder;
  CHECK(data::sha256_of_file(folder.write("file", noise(200'000))) == sha256(noise(200'000)));
  check_contains(error_of([&] { data::sha256_of_file(folder / "none"); }), folder / "none: cannot be opened");
  check_contains(error_of([&] { data::sha256_of_file(folder.path()); }), folder.path() + ": cannot be read");
}
