// Downloads over HTTP.
#pragma once

#include <cstdint>
#include <string>

namespace mixgrad::data {

struct DownloadOptions {
  std::int64_t max_bytes = std::int64_t{1} << 33;  // of the whole file; more is an error
  double stall_seconds = 30;                       // without a byte before giving up
};

// Downloads an http or https address to a file. Resumes a partial file (HTTP Range); if the server does not support
// that, downloads it again as a whole. Returns whether a file was resumed: its beginning may then be of another
// version, which only a checksum detects. Follows up to five redirects, from https to https only. Needs libcurl. Throws
// an error that names the address when the server can't be reached, answers with an error, stalls, drops the connection
// or sends too much, or when the file can't be written. The partial file stays, to be resumed.
bool download(const std::string& address, const std::string& path, const DownloadOptions& options = {});

}  // namespace mixgrad::data
