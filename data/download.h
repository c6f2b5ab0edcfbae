// Downloads over HTTP.
#pragma once

#include <cstdint>
#include <string>

namespace mixgrad::data {

struct DownloadOptions {
  std::int64_t max_bytes = std::int64_t{1} << 33;  // of the whole file; whoever sends more is refused
  double stall_seconds = 30;                       // without a byte before the server is given up
};

// Fetches an http or https address into a file. Of a file that exists already, only the rest is asked for (HTTP Range);
// a server that can't do that sends it whole, in place of what was there. Returns whether the file was continued: then
// its beginning may be of another version, and only a checksum tells. Follows up to five redirections, from https to
// https only. Needs libcurl.
// Throws an error that names the address when the server can't be reached, answers with an error, stalls, cuts the
// connection or sends too much, or when the file can't be written. What has arrived stays, to be continued.
bool download(const std::string& address, const std::string& path, const DownloadOptions& options = {});

}  // namespace mixgrad::data
