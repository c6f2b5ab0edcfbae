// Downloaded data sets, kept in a cache: fastai's untar_data.
#pragma once

#include <cstdint>
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
// download fails (data/download.h), is not of the given size or SHA-256, or can't be unpacked (data/archive.h), or when
// the cache holds an archive of that name from elsewhere.
std::string untar_data(const Url& url, const UntarOptions& options = {});

}  // namespace mixgrad::data
