// Only regular files are read: opening a pipe would wait for a writer, and a device has no size.
#pragma once

#include <filesystem>
#include <string>

#include "core/check.h"

namespace mixgrad {

// Throws "path: is a directory, not a file" or "path: is not a regular file". If nothing exists there, opening it
// reports why.
inline void check_regular_file(const std::string& path) {
  std::error_code ignored;
  const std::filesystem::file_status status = std::filesystem::status(path, ignored);
  check(!std::filesystem::is_directory(status), path, ": is a directory, not a file");
  check(!std::filesystem::exists(status) || std::filesystem::is_regular_file(status), path, ": is not a regular file");
}

}  // namespace mixgrad
