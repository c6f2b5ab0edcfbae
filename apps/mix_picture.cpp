#include "apps/mix_picture.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace mixgrad::apps {

bool write_mix_picture(const std::string& png, const augment::MixedInput& images, const augment::MixedTarget& labels,
                       const std::vector<std::string>& class_names) {
  if (std::system("command -v gnuplot > /dev/null 2>&1") != 0) return false;
  std::FILE* plot = popen("gnuplot", "w");
  check(plot != nullptr, "picture: gnuplot cannot be started");
  // A gnuplot that ends early is an error of pclose, not a signal that ends this program.
  struct IgnoreBrokenPipe {
    void (*previous)(int) = std::signal(SIGPIPE, SIG_IGN);
    ~IgnoreBrokenPipe() { std::signal(SIGPIPE, previous); }
  } const ignore_broken_pipe;

  constexpr std::int64_t columns = 6, most = 12;
  const std::int64_t count = std::min(most, images.x.size(0));
  const std::int64_t rows = (count + columns - 1) / columns;
  const Tensor mixed = augment::mix(images);
  const std::int64_t height = mixed.size(1), width = mixed.size(2), channels = mixed.size(3);
  const std::int32_t* label = labels.y.data<std::int32_t>();
  const std::int32_t* partner = labels.partner.data<std::int32_t>();
  const float* lambda = labels.lambda.data<float>();

  // gnuplot reads 'text' literally, a single quote inside written twice.
  std::string quoted;
  for (const char c : png) quoted += c == '\'' ? std::string("''") : std::string(1, c);
  std::fprintf(plot, "set terminal pngcairo size %d,%d font 'sans,10'\nset output '%s'\n", int(columns) * 170,
               int(rows) * 195, quoted.c_str());
  std::fprintf(plot, "set palette gray negative\nunset colorbox\nunset tics\nunset key\nset cbrange [0:1]\n");
  std::fprintf(plot, "set lmargin 1\nset rmargin 1\nset tmargin 2\nset bmargin 0.5\nset border lc rgb '#999999'\n");
  std::fprintf(plot, "set size ratio -1\nset xrange [-0.5:%d.5]\nset yrange [%d.5:-0.5]\n", int(width) - 1,
               int(height) - 1);
  std::fprintf(plot, "set multiplot layout %d,%d\n", int(rows), int(columns));
  for (std::int64_t n = 0; n < count; ++n) {
    const auto name = [&](std::int32_t label) { return class_names.at(static_cast<std::size_t>(label)).c_str(); };
    // The second share is what the first leaves of 1.00, also after rounding.
    const int percent = static_cast<int>(100 * lambda[n] + 0.5f);
    std::fprintf(plot, "set title '%.2f %s + %.2f %s'\nplot '-' matrix with image\n", percent / 100.0, name(label[n]),
                 (100 - percent) / 100.0, name(partner[n]));
    const float* pixel = mixed.data<float>() + n * height * width * channels;
    for (std::int64_t i = 0; i < height; ++i, std::fputc('\n', plot))
      for (std::int64_t j = 0; j < width; ++j)
        std::fprintf(plot, "%.3f ", static_cast<double>(pixel[(i * width + j) * channels]));
    std::fprintf(plot, "e\n");
  }
  std::fprintf(plot, "unset multiplot\n");
  check(pclose(plot) == 0, "picture: gnuplot could not write ", png);
  return true;
}

}  // namespace mixgrad::apps
