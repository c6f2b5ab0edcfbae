// Tar archives (ustar, POSIX.1-1988) of a test's own, honest or not.
#pragma once

#include <string>
#include <vector>

namespace mixgrad::test {

struct TarEntry {
  std::string name, content = {};
  char type = '0';        // '0' file, '1' hard link, '2' symbolic link, '3' device, '5' folder, '6' pipe
  std::string link = {};  // what a link points to
  std::size_t size = 0;   // claimed for the content; 0: as it is
};

inline std::string octal(std::size_t value, int digits) {
  std::string text;
  for (int digit = digits - 1; digit >= 0; --digit) text += static_cast<char>('0' + (value >> 3 * digit & 7));
  return text;
}

inline std::string tar_header(const TarEntry& entry) {
  std::string header(512, '\0');
  const auto put = [&](std::size_t at, const std::string& text) { header.replace(at, text.size(), text); };
  put(0, entry.name.substr(0, 100));
  put(100, octal(0644, 7));
  put(108, octal(0, 7));
  put(116, octal(0, 7));
  put(124, octal(entry.size > 0 ? entry.size : entry.content.size(), 11));
  put(136, octal(0, 11));
  put(148, std::string(8, ' '));
  put(156, std::string(1, entry.type));
  put(157, entry.link.substr(0, 100));
  put(257, std::string("ustar\00000", 8));
  std::size_t sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  put(148, octal(sum, 6) + std::string("\0 ", 2));
  return header;
}

inline std::string tar(const std::vector<TarEntry>& entries) {
  std::string bytes;
  for (const TarEntry& entry : entries) {
    bytes += tar_header(entry) + entry.content;
    bytes.append((512 - bytes.size() % 512) % 512, '\0');
  }
  return bytes + std::string(1024, '\0');
}

}  // namespace mixgrad::test
