#include <algorithm>

#include "apps/gnuplot.h"
#include "apps/pictures.h"

namespace mixgrad::apps {

namespace {

void check_grid(const Tensor& images, const std::vector<std::string>& captions) {
  const auto side = [](std::int64_t pixels) { return pixels >= 2 && pixels <= 1024; };
  check(images.rank() == 4 && images.dtype() == DType::f32, "picture: images are ", images.shape(),
        ", expected f32 [N, H, W, C]");
  check(images.size(0) >= 1 && images.size(0) <= 100, "picture: ", images.size(0), " images, expected 1 to 100");
  check(side(images.size(1)) && side(images.size(2)) && images.size(3) >= 1, "picture: images are ", images.shape(),
        ", expected 2 to 1024 pixels a side");
  check(images.numel() / images.size(3) <= 1 << 24, "picture: images are ", images.shape(),
        ", more than 16 megapixels");
  check(static_cast<std::int64_t>(captions.size()) == images.size(0), "picture: ", captions.size(), " captions for ",
        images.size(0), " images");
}

// Whether the images have three channels that differ somewhere.
bool is_colour(const Tensor& images) {
  if (images.size(3) != 3) return false;
  const float* pixel = images.data<float>();
  for (std::int64_t i = 0; i < images.numel(); i += 3)
    if (pixel[i] != pixel[i + 1] || pixel[i] != pixel[i + 2]) return true;
  return false;
}

// One image [H, W, C] as a command with its data.
void plot_image(GnuplotScript& script, const Tensor& images, std::int64_t n, bool colour) {
  const std::int64_t height = images.size(1), width = images.size(2), channels = images.size(3);
  const float* pixel = images.data<float>() + n * height * width * channels;
  script << "plot '-' " << (colour ? "using 1:2:3:4:5 with rgbimage\n" : "using 1:2:3 with image\n");
  for (std::int64_t i = 0; i < height; ++i)
    for (std::int64_t j = 0; j < width; ++j, pixel += channels) {
      script << j << ' ' << i;
      for (int c = 0; c < (colour ? 3 : 1); ++c) script << ' ' << (colour ? 255 : 1) * std::clamp(pixel[c], 0.0f, 1.0f);
      script << '\n';
    }
  script << "e\n";
}

}  // namespace

bool write_image_grid(const std::string& png, const Tensor& images, const std::vector<std::string>& captions,
                      const std::string& title) {
  check_grid(images, captions);
  const auto count = static_cast<int>(images.size(0));
  const int columns = std::min(4, count), rows = (count + columns - 1) / columns;
  // In pixels; a letter of a caption is at most 9 wide.
  const auto extent = [&](int axis) { return static_cast<double>(images.size(axis)); };
  const double scale = std::min(180 / extent(1), 400 / extent(2));
  const double height = scale * extent(1), width = scale * extent(2);
  const auto letters = [](std::size_t count, std::size_t most) {
    return 9.0 * static_cast<double>(std::min(count, most));
  };
  const std::size_t longest = std::ranges::max(captions, {}, &std::string::size).size();
  const double caption = 32, gap = 20, cell = std::max(width, letters(longest, 60)) + gap;
  const double canvas_width = std::max(columns * cell, letters(title.size(), 200)) + 2 * gap;
  const double head = title.empty() ? 0 : 44, canvas_height = head + rows * (height + caption) + gap;
  const double side = (canvas_width - columns * cell + cell - width) / 2;  // to the left of the first image

  GnuplotScript script;
  script.precision(6);
  script << "set palette gray negative\nset cbrange [0:1]\nunset colorbox\nunset tics\nunset key\n"
         << "set border lc rgb '#999999'\n"
         << "set size ratio -1\nset xrange [-0.5:" << images.size(2) - 1 << ".5]\n"
         << "set yrange [" << images.size(1) - 1 << ".5:-0.5]\n"
         << "set title offset 0,-0.5\nset multiplot layout " << rows << ',' << columns << " margins "
         << side / canvas_width << ',' << 1 - side / canvas_width << ',' << gap / canvas_height << ','
         << 1 - (head + caption) / canvas_height << " spacing " << (cell - width) / canvas_width << ','
         << caption / canvas_height << '\n';
  script.precision(3);  // of pixels
  const Tensor host = images.to(cpu);
  const bool colour = is_colour(host);
  if (!title.empty())
    script << "set label 1 " << quoted(title) << " at screen 0.5," << 1 - head / 2 / canvas_height << " center\n";
  for (int n = 0; n < count; ++n) {
    if (n == 1) script << "unset label\n";
    script << "set title " << quoted(captions[static_cast<std::size_t>(n)]) << '\n';
    plot_image(script, host, n, colour);
  }
  script << "unset multiplot\n";
  return draw(png, {static_cast<int>(canvas_width), static_cast<int>(canvas_height), 12}, script);
}

}  // namespace mixgrad::apps
