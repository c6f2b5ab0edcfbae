#include "apps/output_folder.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace mixgrad::apps {
namespace {

namespace fs = std::filesystem;

constexpr const char* training_pictures[] = {"mixed_batch.png",      "curves.png",           "lambda.png",
                                             "plain_confusion.png",  "mixup_confusion.png",  "plain_top_losses.png",
                                             "mixup_top_losses.png", "cutmix_confusion.png", "cutmix_top_losses.png"};

// Whether it is the name of a result: metrics, a picture, a checkpoint, or weights of --save; or of an unfinished one
// (name.part, name.tmp-N).
bool is_result(const fs::path& name) {
  if (name.extension() == ".part" || name.extension().string().starts_with(".tmp-")) return is_result(name.stem());
  const auto is = [&](const char* result) { return name == result; };
  return is("metrics.csv") || is(lr_picture) || std::ranges::any_of(training_pictures, is) ||
         name.extension() == ".checkpoint" || name.extension() == ".safetensors";
}

}  // namespace

std::string in_output(const RunOptions& options, const std::string& name) {
  return (fs::path(options.out) / name).string();
}

std::string checkpoint_path(const RunOptions& options, const std::string& run, std::uint64_t seed) {
  return in_output(options, text_of(run, "_", seed, ".checkpoint"));
}

// The folder stays open, so that the kernel releases its lock however this process ends.
void take_folder(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    check(!fs::exists(path, error), "--out: ", path, " is a file, not a folder");
    fs::create_directories(path, error);
    check(!error, "--out: cannot create the folder ", path, ": ", error.message());
  }
  const int folder = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  check(folder >= 0, "--out: cannot open the folder ", path, ": ", std::strerror(errno));
  const bool taken =
      flock(folder, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;  // other errors: the file system has no locks
  check(!taken, "--out: another run is writing to ", path, "; wait for it to end, or use another folder");
}

void name_leftovers(const std::string& folder, const std::set<std::string>& own, const std::set<std::string>& files) {
  std::set<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const fs::path name = entry.path().filename();
    const auto is = [&](const std::string& path) {
      std::error_code ignored;
      return !path.empty() && fs::equivalent(entry.path(), path, ignored);
    };
    if (is_result(name) && !own.contains(name) && std::ranges::none_of(files, is))
      names.insert(printable(name.string()));
  }
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  if (!list.empty()) print_line("left in ", folder, " by other runs: ", list);
}

std::string start_output_folder(const RunOptions& options, const std::set<std::string>& checkpoints,
                                std::set<std::string> files) {
  take_folder(options.out);
  std::string metrics = in_output(options, "metrics.csv");
  const bool writable = std::ofstream(metrics, std::ios::app).good();
  check(writable, "--out: cannot write ", metrics, ": ", std::strerror(errno));
  for (const std::string picture : training_pictures)
    for (const char* const state : {"", ".part"}) fs::remove(in_output(options, picture + state));
  if (options.resume) files.insert(checkpoints.begin(), checkpoints.end());
  files.insert(options.save);
  name_leftovers(options.out, {"metrics.csv"}, files);
  return metrics;
}

}  // namespace mixgrad::apps
