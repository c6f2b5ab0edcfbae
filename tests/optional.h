// What a build or a machine may lack. Whatever is not there is told: "skipped: ...".
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "core/safetensors.h"
#include "data/image_file.h"
#include "data/untar_data.h"
#include "tests/error.h"
#include "tests/tar.h"
#include "tests/temporary_folder.h"

namespace mixgrad::test {

// False when the error is that of a build without a library.
inline bool is_built(const std::string& error) {
  if (!contains(error, "built without")) return true;
  MESSAGE("skipped: ", error);
  return false;
}

inline bool has_json() {
  const TemporaryFolder folder;
  return is_built(error_of([&] { write_safetensors(folder / "probe", {}); }));
}

inline bool has_png() {
  const TemporaryFolder folder;
  return is_built(error_of([&] { data::write_png(folder / "probe", Tensor::zeros({1, 1, 1}, {.dtype = DType::u8})); }));
}

inline bool can_unpack() {
  const TemporaryFolder folder;
  return is_built(error_of([&] { data::unpack(folder.write("probe", tar({{"file"}})), folder / "out"); }));
}

inline bool can_download() {
  const TemporaryFolder folder;
  return is_built(error_of([&] { data::download("http://127.0.0.1:1/", folder / "out"); }));
}

// A Python that has safetensors and torch: $MIXGRAD_PYTHON, or python3; empty where there is none.
inline std::string python_with_torch() {
  const char* chosen = std::getenv("MIXGRAD_PYTHON");
  const std::string python = chosen == nullptr ? "python3" : chosen;
  if (std::system((python + " -c 'import safetensors, torch' >/dev/null 2>&1").c_str()) == 0) return python;
  MESSAGE("skipped: ", python, " (or $MIXGRAD_PYTHON) has no safetensors and torch");
  return {};
}

}  // namespace mixgrad::test
