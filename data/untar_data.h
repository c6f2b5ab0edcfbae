// Downloaded data sets, kept in a cache: fastai's untar_data, and the three steps it is made of.
#pragma once

#include <cstdint>
#include <istream>
#include <string>

namespace mixgrad::data {

// The address of a tar archive.
struct Url {
  std::string address;
  std::int64_t bytes = 0;   // 0: unknown
  std::string sha256 = {};  // in lower-case hexadecimal digits; empty: unknown
};

// Archives of fastai. The sizes are those that fastai itself checks (fastai/data/checks.txt), which has no SHA-256, so
// the content is protected by HTTPS, the size and gzip's own checksum.
namespace url {
inline const Url mnist_sample{"https://s3.amazonaws.com/fast-ai-sample/mnist_sample.tgz", 3'214'948};  // 3s and 7s, PNG
inline const Url mnist_tiny{"https://s3.amazonaws.com/fast-ai-sample/mnist_tiny.tgz", 342'207};
inline const Url mnist{"https://s3.amazonaws.com/fast-ai-imageclas/mnist_png.tgz", 15'683'414};
inline const Url cifar10{"https://s3.amazonaws.com/fast-ai-sample/cifar10.tgz", 168'168'549};
// The original's binary files, for data::cifar10.
inline const Url cifar10_binary{"https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", 170'052'171,
                                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"};
}  // namespace url

struct UntarOptions {
  std::string cache = {};                          // the folder; empty: cache_folder()
  std::int64_t max_bytes = std::int64_t{1} << 33;  // of an archive, and of its unpacked contents
  double stall_seconds = 30;                       // without a byte before giving up
};

// ${XDG_CACHE_HOME:-~/.cache}/mixgrad. Throws when neither that variable nor HOME is set.
std::string cache_folder();

// Downloads an archive and unpacks it into the cache, unless that has been done; returns the folder, named after the
// archive (".../mnist_sample"). An archive whose files are all in one folder becomes that folder. An interrupted
// download is resumed by the next call. The folder appears when it is complete. Processes that request the same archive
// wait for the first one. To download it again, remove the folder. Throws an error that names the address when the
// download fails, is not of the given size or SHA-256, or can't be unpacked, or when the cache holds an archive of that
// name from elsewhere.
std::string untar_data(const Url& url, const UntarOptions& options = {});

// ---- The steps.

struct DownloadOptions {
  std::int64_t max_bytes = std::int64_t{1} << 33;  // of the whole file; more is an error
  double stall_seconds = 30;                       // without a byte before giving up
};

// Downloads an http or https address to a file. Resumes a partial file (HTTP Range); if the server does not support
// that, downloads it again as a whole. Returns whether a file was resumed: its beginning may then be of another
// version, which only a checksum detects. Follows up to five redirects, from https to https only. Needs libcurl, and
// OpenSSL. Throws an error that names the address when the server can't be reached, answers with an error, stalls,
// drops the connection or sends too much, or when the file can't be written. The partial file stays, to be resumed.
bool download(const std::string& address, const std::string& path, const DownloadOptions& options = {});

// SHA-256 (NIST, FIPS 180-4) of a file, as 64 lower-case hexadecimal digits, by OpenSSL. Throws an error that names the
// file when it can't be read.
std::string sha256_of_file(const std::string& path);

// Unpacks a tar archive, plain or compressed by gzip, into a new folder. Names and contents are restored; permissions,
// owners and times are not. Needs libarchive, and zlib. Throws an error that names the archive, and the entry, when it
// is not an archive, or is damaged, truncated (also between two entries) or empty; when an entry is neither a file nor
// a folder (a link, a device), appears twice or would leave the folder (an absolute name, ".."); when the contents
// would take more than max_bytes on disk, or can't be written. The folder is then removed. Also throws when the folder
// exists.
void unpack(const std::string& archive, const std::string& folder, std::int64_t max_bytes = std::int64_t{1} << 33);

}  // namespace mixgrad::data
