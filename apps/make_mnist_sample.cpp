// make_mnist_sample: writes fastai's MNIST_SAMPLE, the 3s and 7s of MNIST as PNG files in class folders, from MNIST's
// own files. fastai numbers its files at random; these are numbered in the order of MNIST, so that training on the
// folder and on MNIST itself gives the same table.
#include <cstdio>
#include <vector>

#include "apps/command_line.h"
#include "apps/program.h"
#include "mixgrad.h"

using namespace mixgrad;

namespace {

void make_mnist_sample(const std::string& mnist, const std::string& out) {
  const std::vector<std::int32_t> digits = {3, 7};
  const auto sample = [&](data::Split split) { return select(data::read_mnist(mnist, split), digits); };
  const data::LabelledImages train = sample(data::Split::train), valid = sample(data::Split::valid);
  data::write_image_folder(out, train, valid, {"3", "7"});
  std::printf("wrote %lld images to train on and %lld to validate into %s\n",
              static_cast<long long>(train.labels.numel()), static_cast<long long>(valid.labels.numel()),
              printable(out, std::string::npos).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  return apps::run_program("make_mnist_sample", [&] {
    std::string mnist, out;
    CLI::App app{"Writes the 3s and 7s of MNIST as PNG files: train/3, train/7, valid/3, valid/7."};
    app.add_option("--data", mnist, "folder with the four MNIST files, plain or .gz")->required()->check(apps::path);
    app.add_option("--out", out, "folder to write, new or empty")->required()->check(apps::path);
    if (apps::parse_command_line(app, argc, argv)) make_mnist_sample(mnist, out);
    return 0;
  });
}
