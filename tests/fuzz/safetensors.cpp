// safetensors files.
#include "core/safetensors.h"

#include "core/tensor.h"
#include "tests/fuzz/fuzz.h"

namespace mixgrad::fuzz {

std::vector<std::string> seeds() {
  const std::string path = file_with("");
  write_safetensors(path, {{"0.weight", Tensor::from({1.0f, 2.0f, 3.0f, 4.0f}, {2, 2})},
                           {"step", Tensor::from<std::int32_t>({7}, {1})},
                           {"image", Tensor::from<std::uint8_t>({1, 2, 3}, {3})}});
  const std::string tensors = bytes_of(path);
  write_safetensors(path, {{"empty", Tensor::zeros({0, 3}, {.dtype = DType::f64})}}, {{"model", "simple \"cnn\"\n"}});
  return {tensors, bytes_of(path)};
}

void read(const std::string& bytes) { read_safetensors(file_with(bytes)); }

}  // namespace mixgrad::fuzz
