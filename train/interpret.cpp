#include "train/interpret.h"

#include <algorithm>
#include <cmath>
#include <ostream>
#include <string_view>

#include "core/log_softmax.h"
#include "core/reduce.h"
#include "train/learner.h"

namespace mixgrad::train {
namespace {

using Lines = std::vector<std::string>;

constexpr std::int64_t line_columns = 80, image_columns = 24, image_lines = 24, gap = 2;

// The mean brightness of image x [H, W, C] over the square [top, bottom) x [left, right), from 4 x 4 points of it.
double brightness(const float* x, const Shape& shape, double top, double bottom, double left, double right) {
  const std::int64_t width = shape[2], channels = shape[3];
  constexpr int points = 4;
  double total = 0;
  for (int i = 0; i < points; ++i)
    for (int j = 0; j < points; ++j) {
      const auto row = static_cast<std::int64_t>(top + (i + 0.5) / points * (bottom - top));
      const auto column = static_cast<std::int64_t>(left + (j + 0.5) / points * (right - left));
      const float* const pixel = x + (row * width + column) * channels;
      for (std::int64_t c = 0; c < channels; ++c) total += pixel[c];
    }
  return total / static_cast<double>(points * points * channels);
}

// Image x [H, W, C]; a character is twice as high as it is wide.
Lines as_text(const float* x, const Shape& shape) {
  constexpr std::string_view ramp = " .:-=+*#%@";
  const auto height = static_cast<double>(shape[1]), width = static_cast<double>(shape[2]);
  const std::int64_t columns = std::min(shape[2], image_columns);
  const auto wanted = std::lround(height / width * static_cast<double>(columns) / 2);
  const std::int64_t lines = std::clamp<std::int64_t>(wanted, 1, image_lines);
  const double dy = height / static_cast<double>(lines), dx = width / static_cast<double>(columns);
  Lines text(static_cast<std::size_t>(lines));
  for (std::int64_t i = 0; i < lines; ++i)
    for (std::int64_t j = 0; j < columns; ++j) {
      const auto row = static_cast<double>(i), column = static_cast<double>(j);
      const double value = brightness(x, shape, row * dy, (row + 1) * dy, column * dx, (column + 1) * dx);
      const double level = value > 0 ? std::min(value, 1.0) * static_cast<double>(ramp.size() - 1) : 0;  // nan too
      text[static_cast<std::size_t>(i)] += ramp[static_cast<std::size_t>(std::lround(level))];
    }
  return text;
}

// Text truncated or padded to so many characters of UTF-8.
std::string fitted(const std::string& text, std::int64_t columns) {
  std::size_t end = 0;
  for (; end < text.size(); ++end) {
    const bool begins = (static_cast<unsigned char>(text[end]) & 0xc0) != 0x80;
    if (begins && columns-- == 0) return text.substr(0, end);
  }
  return text + std::string(static_cast<std::size_t>(columns), ' ');
}

void print_side_by_side(std::ostream& out, const std::vector<Lines>& blocks) {
  constexpr auto in_row = static_cast<std::size_t>((line_columns + gap) / (image_columns + gap));
  for (std::size_t first = 0; first < blocks.size(); first += in_row) {
    const std::size_t end = std::min(first + in_row, blocks.size());
    for (std::size_t line = 0; line < blocks[first].size(); ++line) {
      std::string text;
      for (std::size_t i = first; i < end; ++i) text += fitted(blocks[i][line], image_columns) + std::string(gap, ' ');
      text.erase(text.find_last_not_of(' ') + 1);
      out << text << '\n';
    }
    out << '\n';
  }
}

// Images x [N, H, W, C], each above the lines of its caption; all captions have as many lines.
void show(std::ostream& out, const Tensor& x, const std::vector<Lines>& captions) {
  check(x.dtype() == DType::f32 && x.rank() == 4 && x.numel() > 0, "show: ", name_of(x.dtype()), x.shape(),
        " is not a batch of images f32 [N, H, W, C]");
  const auto pixels = x.to_vector<float>();
  const std::size_t stride = pixels.size() / static_cast<std::size_t>(x.size(0));
  std::vector<Lines> blocks;
  for (std::size_t i = 0; i < captions.size(); ++i) {
    blocks.push_back(as_text(&pixels[i * stride], x.shape()));
    blocks.back().insert(blocks.back().end(), captions[i].begin(), captions[i].end());
  }
  print_side_by_side(out, blocks);
}

}  // namespace

std::vector<TopLoss> top_losses(Learner& learner, std::int64_t n) {
  check(n >= 0, "top_losses: the first ", n);
  data::LoaderOptions in_order = learner.data.valid.options();
  in_order.shuffle = in_order.drop_last = false;
  const data::DataLoader loader = learner.data.valid.with(in_order);
  std::vector<TopLoss> all;
  for (const data::Batch& batch : loader.epoch(0)) {
    const Tensor output = learner.predict(batch.x).to(cpu);
    const Tensor y = batch.y.to(cpu);
    const auto targets = target_classes("top_losses", output, y);
    const auto losses = learner.options.loss.each_sample(output, y).to(DType::f64).to_vector<double>();
    const auto predicted = argmax(output, 1).to_vector<std::int32_t>();
    const auto probabilities = max(softmax(output), 1).to(DType::f64).to_vector<double>();
    for (std::size_t i = 0; i < targets.size(); ++i)
      all.push_back({static_cast<std::int64_t>(all.size()), losses[i], targets[i], predicted[i], probabilities[i]});
  }
  const auto larger = [](const TopLoss& a, const TopLoss& b) {
    if (std::isnan(a.loss) || std::isnan(b.loss)) return std::isnan(a.loss) && !std::isnan(b.loss);
    return a.loss > b.loss;
  };
  std::stable_sort(all.begin(), all.end(), larger);
  all.resize(std::min(all.size(), static_cast<std::size_t>(n)));
  return all;
}

void show_batch(std::ostream& out, const data::Batch& batch, const std::vector<std::string>& classes, std::int64_t n) {
  check(n >= 0, "show_batch: the first ", n, " images");
  const Tensor labels = batch.y.rank() == 2 ? argmax(batch.y, 1) : batch.y;
  check(batch.x.rank() == 4 && labels.dtype() == DType::i32 && labels.shape() == Shape{batch.x.size(0)},
        "show_batch: x ", batch.x.shape(), " with y ", batch.y.shape());
  std::vector<Lines> captions;
  for (const std::int32_t label : labels.to_vector<std::int32_t>()) captions.push_back({class_name(classes, label)});
  captions.resize(std::min(captions.size(), static_cast<std::size_t>(n)));
  show(out, batch.x, captions);
}

void show_top_losses(std::ostream& out, Learner& learner, std::int64_t n) {
  std::vector<std::int32_t> indices;
  std::vector<Lines> captions;
  const auto& classes = learner.data.classes();
  for (const TopLoss& top : top_losses(learner, n)) {
    indices.push_back(static_cast<std::int32_t>(top.index));
    captions.push_back({text_of(class_name(classes, top.target), " as ", class_name(classes, top.predicted), " (",
                                with_decimals(top.probability, 3), ")"),
                        text_of("loss ", with_decimals(top.loss, 3), "  #", top.index)});
  }
  if (!indices.empty()) show(out, learner.data.valid.dataset().get(indices).x, captions);
}

}  // namespace mixgrad::train
