// Data sets from the net, kept in a cache: fastai's untar_data.
#pragma once

#include <cstdint>
#include <string>

namespace mixgrad::data {

// A tar archive on the net.
struct Url {
  std::string address;
  std::int64_t bytes = 0;   // 0: not known
  std::string sha256 = {};  // in lower-case hexadecimal digits; empty: not known
};

// Archives of fastai. The sizes are those that fastai itself checks (fastai/data/checks.txt); no SHA-256
// of them was found, so what vouches for the content is HTTPS, the size and gzip's own checksum.
namespace url {
inline const Url mnist_sample{"https://s3.amazonaws.com/fast-ai-sample/mnist_sample.tgz", 3'214'948};  // 3s and 7s, PNG
inline const Url mnist_tiny{"https://s3.amazonaws.com/fast-ai-sample/mnist_tiny.tgz", 342'207};
inline const Url mnist{"https://s3.amazonaws.com/fast-ai-imageclas/mnist_png.tgz", 15'683'414};
inline const Url cifar10{"https://s3.amazonaws.com/fast-ai-sample/cifar10.tgz", 168'168'549};
}  // namespace url

struct UntarOptions {
  std::string cache = {};                          // the folder; empty: cache_folder()
  std::int64_t max_bytes = std::int64_t{1} << 33;  // of an archive, and of what it unpacks to
  double stall_seconds = 30;                       // without a byte before a server is given up
};

// ${XDG_CACHE_HOME:-~/.cache}/mixgrad. Throws when neither that variable nor HOME is set.
std::string cache_folder();

// Downloads an archive and unpacks it into the cache, unless that has been done; returns the folder, named as the
// archive is (".../mnist_sample"). An archive whose files are all in one folder becomes that folder. A download that
// was cut short is continued by the next call. The folder appears when it is complete. Processes that ask for the same
// archive wait for the first one. To have it again, remove the folder. Throws an error that names the address when the
// download fails (data/download.h), is not of the given size or SHA-256, or can't be unpacked (data/archive.h), or when
// the cache holds an archive of that name from elsewhere.
std::string untar_data(const Url& url, const UntarOptions& options = {});

}  // namespace mixgrad::data
