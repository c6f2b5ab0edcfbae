#include "train/progress_bar.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include "train/learner.h"
#include "train/recorder.h"

namespace mixgrad::train {
namespace {

int columns() {  // of the terminal
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

ProgressBar::ProgressBar(const ProgressBarOptions& options)
    : terminal_(isatty(STDERR_FILENO) != 0),
      interval_(terminal_ ? options.seconds_between_redraws : options.seconds_between_lines) {
  last_drawn_ = Clock::now();
}

void ProgressBar::on_epoch_begin(Learner&) {
  epoch_start_ = Clock::now();
  seen_ = 0;
}

void ProgressBar::on_batch_end(Learner& learner) {
  ++seen_;
  const auto now = Clock::now();
  if (std::chrono::duration<double>(now - last_drawn_).count() < interval_) return;
  last_drawn_ = now;
  drawn_ = terminal_;
  draw(learner, std::chrono::duration<double>(now - epoch_start_).count());
}

void ProgressBar::draw(const Learner& learner, double elapsed) const {
  const double done = static_cast<double>(learner.batch + 1);
  const double total = static_cast<double>(learner.num_batches());
  const double images = seen_ * static_cast<double>(learner.data.train.options().batch_size);
  const auto before = static_cast<double>(learner.epoch * learner.data.train.num_batches());
  const double left = elapsed / seen_ * (static_cast<double>(learner.total_batches()) - before - done);
  const int seconds = static_cast<int>(left);
  const std::string epoch = text_of("epoch ", learner.epoch + 1, "/", std::ceil(learner.epochs), " ");
  const std::string figures[] = {text_of(" ", static_cast<std::int64_t>(done), "/", static_cast<std::int64_t>(total)),
                                 "  loss " + with_decimals(learner.recorder->smoothed_loss(), 4),
                                 "  " + with_decimals(images / elapsed, 0) + " images/s",
                                 text_of("  ", seconds / 60, ":", seconds % 60 / 10, seconds % 10, " left")};
  // As many figures as the line has room for, then the bar: a line that wraps can't be redrawn. The last column stays
  // free.
  const std::size_t room = static_cast<std::size_t>(terminal_ ? columns() : 120) - 1;
  std::string line = epoch.substr(0, room), rest;
  for (const std::string& figure : figures) {
    if (line.size() + rest.size() + figure.size() > room) break;
    rest += figure;
  }
  const std::size_t width = std::min<std::size_t>(room - line.size() - rest.size(), 30);
  const auto filled = static_cast<std::size_t>(static_cast<double>(width) * done / total);
  line += std::string(filled, '#') + std::string(width - filled, '.') + rest;
  std::fprintf(stderr, "%s%s%s", terminal_ ? "\r" : "", line.c_str(), terminal_ ? "\x1b[K" : "\n");
  std::fflush(stderr);
}

void ProgressBar::on_validate_begin(Learner&) { erase(); }
void ProgressBar::on_epoch_end(Learner&) { erase(); }
void ProgressBar::on_train_end(Learner&) noexcept { erase(); }

void ProgressBar::erase() noexcept {
  if (!drawn_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace mixgrad::train
