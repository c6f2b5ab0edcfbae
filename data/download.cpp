#include "data/untar_data.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include "core/check.h"
#include "core/profile.h"

#ifdef MIXGRAD_WITH_CURL
#include <curl/curl.h>
#include <openssl/evp.h>
#endif

namespace mixgrad::data {

#ifdef MIXGRAD_WITH_CURL

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// Receives the bytes of a transfer. Its two static functions are called by libcurl, which exceptions must not cross:
// they store the reason for ending a transfer in `problem`.
struct Sink {
  const DownloadOptions& options;
  std::ofstream file;
  std::int64_t size;  // of the file
  Clock::time_point last_byte = Clock::now();
  std::string problem = {};

  static std::size_t write(char* bytes, std::size_t, std::size_t count, void* to) {
    Sink& sink = *static_cast<Sink*>(to);
    sink.last_byte = Clock::now();
    sink.size += static_cast<std::int64_t>(count);
    if (sink.size > sink.options.max_bytes)
      sink.problem = "the server sends more than " + std::to_string(sink.options.max_bytes) + " bytes";
    else if (!sink.file.write(bytes, static_cast<std::streamsize>(count)))
      sink.problem = std::string("cannot be written to the disk: ") + std::strerror(errno);
    return sink.problem.empty() ? count : 0;
  }

  // Called about once a second, whether or not bytes arrive.
  static int watch(void* to, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    Sink& sink = *static_cast<Sink*>(to);
    const double silence = seconds_since(sink.last_byte);
    if (silence < sink.options.stall_seconds) return 0;
    sink.problem = "the server has stopped sending (waited " + std::to_string(int(silence)) + " seconds)";
    return 1;
  }
};

void limit_protocols(CURL* curl, const std::string& address) {
  const bool secure = address.starts_with("https:");
#if LIBCURL_VERSION_NUM >= 0x075500
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
#else
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS, long{CURLPROTO_HTTP | CURLPROTO_HTTPS});
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS,
                   secure ? long{CURLPROTO_HTTPS} : long{CURLPROTO_HTTP | CURLPROTO_HTTPS});
#endif
}

// Downloads the address from byte `first` on, to the end of a file of so many bytes; 0 replaces it. False when the
// server does not send such a range.
bool transfer(const std::string& address, const std::string& path, std::int64_t first, const DownloadOptions& options) {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle(curl_easy_init(), curl_easy_cleanup);
  check(initialised == CURLE_OK && handle != nullptr, address, ": download failed: libcurl cannot be initialised");
  CURL* curl = handle.get();
  Sink sink{
      .options = options, .file = std::ofstream(path, first > 0 ? std::ios::app : std::ios::trunc), .size = first};
  check(sink.file.is_open(), path, ": cannot be written: ", std::strerror(errno));
  char message[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl, CURLOPT_URL, address.c_str());
  limit_protocols(curl, address);
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
  curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "mixgrad");
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
  curl_easy_setopt(curl, CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(first));
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Sink::write);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &sink);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &Sink::watch);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &sink);
  const CURLcode code = curl_easy_perform(curl);
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  if (first > 0 && (code == CURLE_RANGE_ERROR || status == 416)) return false;
  check(sink.problem.empty(), address, ": download failed: ", sink.problem);
  check(code != CURLE_HTTP_RETURNED_ERROR, address, ": download failed: the server answers ", status);
  check(code == CURLE_OK, address,
        ": download failed: ", printable(*message != '\0' ? message : curl_easy_strerror(code)));
  sink.file.close();
  check(sink.file.good(), path, ": cannot be written: ", std::strerror(errno));
  return true;
}

}  // namespace

bool download(const std::string& address, const std::string& path, const DownloadOptions& options) {
  std::error_code none;
  const std::int64_t first = fs::exists(path, none) ? static_cast<std::int64_t>(fs::file_size(path, none)) : 0;
  if (first > 0 && transfer(address, path, first, options)) return true;
  transfer(address, path, 0, options);
  return false;
}

std::string sha256_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  check(file.is_open(), path, ": cannot be opened: ", std::strerror(errno));
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  std::array<char, 1 << 16> block;
  std::array<unsigned char, 32> hash;
  bool good = context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
  while (good && file) {
    file.read(block.data(), block.size());
    good = EVP_DigestUpdate(context.get(), block.data(), static_cast<std::size_t>(file.gcount())) == 1;
  }
  check(!good || file.eof(), path, ": cannot be read to the end");
  check(good && EVP_DigestFinal_ex(context.get(), hash.data(), nullptr) == 1, path, ": OpenSSL cannot hash it");
  std::string digits;
  for (const unsigned byte : hash)
    for (const unsigned digit : {byte >> 4, byte & 15}) digits += "0123456789abcdef"[digit];
  return digits;
}

#else

namespace {
constexpr const char* missing = "built without libcurl or OpenSSL: packages libcurl4-openssl-dev and libssl-dev";
}

bool download(const std::string& address, const std::string&, const DownloadOptions&) {
  fail(address, ": this build cannot download (", missing, ")");
}

std::string sha256_of_file(const std::string& path) { fail(path, ": this build has no SHA-256 (", missing, ")"); }

#endif

}  // namespace mixgrad::data
