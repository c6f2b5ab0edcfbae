// make_mnist_sample: writes fastai's MNIST_SAMPLE, the 3s and 7s of MNIST as PNG files in class folders, from MNIST's
// own files. fastai numbers its files at random; these are numbered in the order of MNIST, so that training on the
// folder and on MNIST itself gives the same table.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <vector>

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
  std::string mnist, out;
  CLI::App app{"Writes the 3s and 7s of MNIST as PNG files: train/3, train/7, valid/3, valid/7."};
  app.add_option("--data", mnist, "folder with the four MNIST files, plain or .gz")->required();
  app.add_option("--out", out, "folder to write, not there yet or empty")->required();
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return "make_mnist_sample: " + printable(error.what(), std::string::npos) + " (--help lists the options)\n";
  });
  try {
    app.parse(argc, argv);
    make_mnist_sample(mnist, out);
    return 0;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const std::exception& error) {
    std::cerr << "make_mnist_sample: " << printable(error.what(), std::string::npos) << '\n';
    return 1;
  }
}
