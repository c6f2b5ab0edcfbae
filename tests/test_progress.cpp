// What a training run shows, and Ctrl-C: the Recorder's table, ProgressBar, StopOnInterrupt.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <regex>
#include <string>
#include <thread>

#include "mixgrad.h"
#include "tests/comma_locale.h"
#include "tests/files.h"
#include "tests/temporary_folder.h"

using namespace mixgrad;
using namespace mixgrad::train;
using test::content;
using test::TemporaryFolder;

namespace {

// While it lives, what is written to one of the standard streams goes to another file.
class Redirected {
 public:
  Redirected(std::FILE* stream, int file) : stream_(stream), saved_(dup(fileno(stream))) { to(file); }
  ~Redirected() {
    to(saved_);
    close(saved_);
  }
  Redirected(const Redirected&) = delete;
  Redirected& operator=(const Redirected&) = delete;

 private:
  void to(int file) {
    std::fflush(stream_);
    dup2(file, fileno(stream_));
  }
  std::FILE* stream_;
  int saved_;
};

int lines(const std::string& text) { return static_cast<int>(std::count(text.begin(), text.end(), '\n')); }

// Three batches for training, two for validation.
Learner learner(bool verbose) {
  const auto images = data::synthetic_digits(48, 1, data::Split::train);
  const std::vector<std::string> classes = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
  const auto dataset = std::make_shared<data::ImageDataset>(images, classes);
  return Learner({data::DataLoader(dataset, {.batch_size = 16}), data::DataLoader(dataset, {.batch_size = 32})},
                 nn::simple_cnn({3, 4, 4, 10}), {.metrics = {accuracy}, .verbose = verbose});
}

struct AtBatch : StepCallback {
  AtBatch(std::int64_t batch, std::function<void(Learner&)> f) : batch(batch), f(std::move(f)) {}
  void on_batch_begin(Learner& learner) override {
    if (learner.batch == batch) f(learner);
  }
  StepWork step_work() const override { return StepWork::varies; }
  std::int64_t batch;
  std::function<void(Learner&)> f;
};

// What the training prints on the stream.
template <class F>
std::string printed(std::FILE* stream, F&& f) {
  const TemporaryFolder folder;
  const std::string path = folder / "printed";
  const int file = open(path.c_str(), O_CREAT | O_RDWR, 0600);
  {
    const Redirected redirected(stream, file);
    f();
  }
  close(file);
  return content(path);
}

}  // namespace

TEST_CASE("recorder: a table with a row for each epoch") {
  const std::string table = printed(stdout, [] { learner(true).fit(2); });
  CAPTURE(table);
  CHECK(table.starts_with("epoch     train_loss  valid_loss  accuracy  time\n1         "));
  CHECK(table.find("\n2         ") != std::string::npos);
  CHECK(lines(table) == 3);
}

TEST_CASE("recorder: an epoch that was stopped has a line of its own in place of a row") {
  const std::string table = printed(stdout, [] {
    Learner learn = learner(true);
    learn.add(std::make_shared<AtBatch>(1, [](Learner& l) { l.stop(); }));
    learn.fit(2);
    CHECK(learn.recorder->epochs().empty());
  });
  CAPTURE(table);
  CHECK(table.find("stopped in epoch 1 after batch 2 of 3\n") != std::string::npos);
  CHECK(lines(table) == 2);
}

TEST_CASE("recorder: says how many parameters are frozen, and nothing where none is") {
  const auto told = [](std::size_t frozen) {
    return printed(stderr, [&] {
      Learner learn = learner(true);
      for (std::size_t i = 0; i < frozen; ++i) nn::parameters(*learn.model)[i].requires_grad_(false);
      learn.fit(1);
    });
  };
  CHECK(told(0) == "");
  CHECK(told(3) == "3 of the model's 6 parameter tensors are frozen\n");
}

TEST_CASE("progress bar: plain lines where there is no terminal") {
  const std::string text = printed(stderr, [] {
    Learner learn = learner(false);
    learn.add(std::make_shared<ProgressBar>(ProgressBarOptions{.seconds_between_lines = 0}));
    learn.fit(2);
  });
  CAPTURE(text);
  CHECK(lines(text) == 6);
  CHECK(text.starts_with("epoch 1/2 ##########.................... 1/3  loss "));
  CHECK(text.find("epoch 2/2 ############################## 3/3  loss ") != std::string::npos);
  CHECK(text.find('\r') == std::string::npos);
}

TEST_CASE("progress bar: says nothing off a terminal while a run is short") {
  CHECK(printed(stderr, [] {
          Learner learn = learner(false);
          learn.add(std::make_shared<ProgressBar>());
          learn.fit(1);
        }) == "");
}

TEST_CASE("progress bar: speed and time left of a training that is resumed count from where it was resumed") {
  const std::string text = printed(stderr, [] {
    Learner learn = learner(false);
    learn.add(std::make_shared<ProgressBar>(ProgressBarOptions{.seconds_between_lines = 0}));
    learn.add(
        std::make_shared<AtBatch>(2, [](Learner&) { std::this_thread::sleep_for(std::chrono::milliseconds(200)); }));
    learn.start_from({.epochs = 1, .epoch = 0, .pass = 0, .batch = 2});
    learn.fit(1);
  });
  CAPTURE(text);
  CHECK(lines(text) == 1);
  const std::size_t unit = text.find(" images/s");
  REQUIRE(unit != std::string::npos);
  CHECK(std::stod(text.substr(text.rfind(' ', unit - 1))) <= 16 / 0.2);  // one batch of 16 in more than 0.2 s
}

TEST_CASE("progress bar: speed and time left are those of the epoch that is under way") {
  const std::string text = printed(stderr, [] {
    Learner learn = learner(false);
    learn.add(std::make_shared<ProgressBar>(ProgressBarOptions{.seconds_between_lines = 0}));
    learn.add(
        std::make_shared<AtBatch>(0, [](Learner&) { std::this_thread::sleep_for(std::chrono::milliseconds(200)); }));
    learn.fit(3);
  });
  CAPTURE(text);
  const std::size_t line = text.find("epoch 3/3");
  REQUIRE(line != std::string::npos);
  const std::size_t unit = text.find(" images/s", line);
  REQUIRE(unit != std::string::npos);
  CHECK(std::stod(text.substr(text.rfind(' ', unit - 1))) <= 16 / 0.2);  // one batch of 16 in more than 0.2 s
}

TEST_CASE("progress bar: one line of a terminal, as long as it has room, erased when an epoch ends") {
  for (const int columns : {1, 5, 16, 24, 39, 40, 70, 200}) {
    CAPTURE(columns);
    const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0) {
      MESSAGE("skipped: no pseudo-terminal can be had");
      return;
    }
    const int line = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    const winsize size{.ws_row = 24, .ws_col = static_cast<unsigned short>(columns), .ws_xpixel = 0, .ws_ypixel = 0};
    CHECK(ioctl(line, TIOCSWINSZ, &size) == 0);
    {
      const Redirected redirected(stderr, line);
      Learner learn = learner(false);
      learn.add(std::make_shared<ProgressBar>(ProgressBarOptions{.seconds_between_redraws = 0}));
      learn.fit(1);
    }
    close(line);  // so that reading ends where all has been read
    std::string text;
    std::array<char, 4096> buffer{};
    for (ssize_t count = 0; (count = read(terminal, buffer.data(), buffer.size())) > 0;)
      text.append(buffer.data(), static_cast<std::size_t>(count));
    close(terminal);
    CAPTURE(text);
    CHECK(lines(text) == 0);
    CHECK(text.ends_with("\r\x1b[K"));
    const std::regex whole_figures(R"(epoch 1/1 [#.]* [123]/3(  loss \d+\.\d{4}(  \d+ images/s(  \d+:\d\d left)?)?)?)");
    int redraws = 0;
    for (std::size_t at = text.find('\r'); at != std::string::npos; at = text.find('\r', at + 1)) {
      const std::string drawn = text.substr(at + 1, text.find("\x1b[K", at) - at - 1);
      CHECK(static_cast<int>(drawn.size()) < columns);  // the last column stays free
      const bool erased = ++redraws == 4;
      if (!erased && columns >= 16) CHECK(std::regex_match(drawn, whole_figures));
      if (!erased && columns >= 70) CHECK(drawn.ends_with(" left"));
    }
    CHECK(redraws == 4);
  }
}

TEST_CASE("Ctrl-C: training ends after the batch, and the signal does what it did before") {
  static volatile std::sig_atomic_t reached = 0;
  const auto before = std::signal(SIGINT, [](int) { reached = reached + 1; });
  Learner learn = learner(false);
  const auto interrupt = std::make_shared<StopOnInterrupt>();
  learn.add(interrupt);
  learn.fit(1);
  CHECK(!interrupt->interrupted());
  const auto once = std::make_shared<AtBatch>(1, [](Learner&) { std::raise(SIGINT); });
  learn.add(once);
  learn.fit(1);
  CHECK(interrupt->interrupted());
  CHECK(learn.batch == 1);
  CHECK(!learn.validation);
  CHECK(reached == 0);
  std::raise(SIGINT);
  CHECK(reached == 1);

  once->f = [](Learner&) {
    std::raise(SIGINT);
    std::raise(SIGINT);
  };
  learn.fit(1);
  CHECK(reached == 2);
  std::signal(SIGINT, before);
}

TEST_CASE("recorder and progress bar: decimal points in every locale") {
  const test::CommaPrintf german;
  if (!german) return;
  const test::CommaLocale comma;
  const TemporaryFolder folder;
  const std::string path = folder.write("printed", "");
  {
    const int file = open(path.c_str(), O_WRONLY | O_APPEND);
    const Redirected out(stdout, file), err(stderr, file);
    Learner learn = learner(true);
    learn.add(std::make_shared<ProgressBar>(ProgressBarOptions{.seconds_between_lines = 0})).fit(1);
    close(file);
  }
  const std::string text = content(path);
  CHECK(text.find("1         2.") != std::string::npos);  // ln 10 is 2.3
  CHECK(text.find("1/3  loss 2.") != std::string::npos);
  CHECK_MESSAGE(text.find(',') == std::string::npos, text);
}
