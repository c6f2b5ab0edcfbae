#include "core/safetensors.h"

#ifdef MIXGRAD_WITH_JSON_AND_HASH

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iomanip>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <utility>

#include "core/files.h"

namespace mixgrad {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");
constexpr std::size_t length_bytes = 8;
constexpr std::size_t max_header_bytes = 100'000'000;  // the format's own limit
constexpr const char* metadata_key = "__metadata__";
constexpr const char* checksum_key = "mixgrad.xxh64";  // in the metadata

float from_f16(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  using Limits = std::numeric_limits<float>;
  const float magnitude = exponent == 31  ? (fraction ? Limits::quiet_NaN() : Limits::infinity())
                          : exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                          : std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
  return bits >> 15 ? -magnitude : magnitude;
}

float from_bf16(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

template <class Integer>
std::int32_t to_i32(Integer value) {
  check(std::in_range<std::int32_t>(value), "holds ", value, ", too large for i32");
  return static_cast<std::int32_t>(value);
}

// Fills a tensor with converted elements.
template <auto convert, class From>
void convert_all(std::span<const std::byte> bytes, const Tensor& to) {
  with_dtype(to.dtype(), [&]<class T>(T) {
    T* const element = to.mutable_data<T>();
    for (std::size_t i = 0; i < bytes.size() / sizeof(From); ++i) {
      From from;
      std::memcpy(&from, bytes.data() + i * sizeof from, sizeof from);
      element[i] = static_cast<T>(convert(from));
    }
  });
}

// How elements are stored in a file, and what they become. The first four are written, too.
struct StoredType {
  const char* name;
  DType dtype;
  std::size_t size;
  void (*convert)(std::span<const std::byte> bytes, const Tensor& to);  // null where they are the same
};

template <class Integer>
constexpr StoredType integer(const char* name) {
  return {name, DType::i32, sizeof(Integer), convert_all<to_i32<Integer>, Integer>};
}

constexpr StoredType stored_types[] = {
    {"F32", DType::f32, 4, nullptr},
    {"F64", DType::f64, 8, nullptr},
    {"I32", DType::i32, 4, nullptr},
    {"U8", DType::u8, 1, nullptr},
    {"BOOL", DType::u8, 1, nullptr},
    {"F16", DType::f32, 2, convert_all<from_f16, std::uint16_t>},
    {"BF16", DType::f32, 2, convert_all<from_bf16, std::uint16_t>},
    integer<std::int8_t>("I8"),
    integer<std::int16_t>("I16"),
    integer<std::int64_t>("I64"),
    integer<std::uint16_t>("U16"),
    integer<std::uint32_t>("U32"),
    integer<std::uint64_t>("U64"),
};

// A tensor's part of a file's checksum: the parts' sum, so that their order does not matter.
std::uint64_t checksum_of(const std::string& name, const std::string& dtype, const Shape& shape,
                          std::span<const std::byte> elements) {
  const std::string head = text_of(name, ' ', dtype, shape);
  return XXH64(elements.data(), elements.size(), XXH64(head.data(), head.size(), 0));
}

std::string checksum_text(std::uint64_t checksum) {
  return text_of(std::hex, std::setfill('0'), std::setw(16), checksum);
}

std::string in_quotes(const std::string& name) { return '"' + printable(name) + '"'; }

// Calls f; an error that it throws gets this in front.
template <class F>
auto with_prefix(const std::string& prefix, F f) {
  try {
    return f();
  } catch (const Error& error) {
    fail(prefix, error.what());
  }
}

// What the header says about one tensor.
struct Entry {
  std::string name;
  const StoredType* type;
  Shape shape;
  std::int64_t begin, end;  // of its data
};

struct Header {
  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;
};

std::string where(const std::string& name) {
  return (name == metadata_key ? name : "tensor " + in_quotes(name)) + ": ";
}

std::string text_in(const json& object, const std::string& field) {
  const json& text = object.at(field);
  check(text.is_string(), in_quotes(field), " has an invalid value");
  return text.get<std::string>();
}

std::vector<std::int64_t> integers_in(const json& object, const std::string& field) {
  const json& array = object.at(field);
  check(array.is_array(), in_quotes(field), " has an invalid value");
  check(array.size() <= Shape::max_rank, "has more than ", Shape::max_rank, " values in ", field);
  std::vector<std::int64_t> result;
  for (const json& number : array) {
    check(number.is_number_unsigned(), in_quotes(field), " has an invalid value");
    check(std::in_range<std::int64_t>(number.get<std::uint64_t>()), field, " holds ", number.get<std::uint64_t>());
    result.push_back(number.get<std::int64_t>());
  }
  return result;
}

void add_entry(const std::string& name, const json& object, Header& header) {
  if (name == metadata_key) {
    for (const auto& [key, text] : object.items()) header.metadata[key] = text_in(object, key);
    return;
  }
  check(object.size() == 3, "lacks its dtype, shape or data_offsets");
  const std::string dtype = text_in(object, "dtype");
  const auto* type = std::ranges::find_if(stored_types, [&](const auto& stored) { return stored.name == dtype; });
  check(type != std::end(stored_types), "is of dtype ", in_quotes(dtype),
        ", not F16, BF16, F32, F64, I8 to I64, U8 to U64 or BOOL");
  const Shape shape{std::span<const std::int64_t>(integers_in(object, "shape"))};
  const std::vector<std::int64_t> offsets = integers_in(object, "data_offsets");
  check(offsets.size() == 2 && offsets[0] <= offsets[1], "its data_offsets are not two ascending values");
  header.entries.push_back({name, type, shape, offsets[0], offsets[1]});
}

// Accepts exactly what a header may say: an entry is dropped once it is read, and nesting goes no deeper than it
// should.
Header parse_header(const std::string& text) {
  check(text.starts_with('{') && text.find('\0') == std::string::npos, "its header is not a JSON object");
  Header header;
  std::string name, field;              // of the entry, and in it
  std::set<std::string> names, fields;  // so far
  // Whether to keep what the parser has found.
  const auto keep = [&](int depth, json::parse_event_t event, const json& value) {
    using Event = json::parse_event_t;
    if (event == Event::key && depth == 1) {
      name = value.get<std::string>();
      check(names.insert(name).second, "its header lists ", in_quotes(name), " twice");
      fields.clear();
    } else if (event == Event::key) {
      field = value.get<std::string>();
      check(name == metadata_key || field == "dtype" || field == "shape" || field == "data_offsets", where(name),
            "unknown field ", in_quotes(field));
      check(fields.insert(field).second, where(name), "has the field ", in_quotes(field), " twice");
    } else if (depth == 1 && event == Event::object_end) {
      with_prefix(where(name), [&] { add_entry(name, value, header); });
      return false;
    } else if (depth == 1 && event != Event::object_start) {
      fail(where(name), "is not an object");
    } else if (event != Event::value && (depth > 2 || (depth == 2 && event == Event::object_start))) {
      fail(where(name), in_quotes(field), " has an invalid value");
    }
    return true;
  };
  try {
    [[maybe_unused]] const json rest = json::parse(text, keep);
  } catch (const json::parse_error& error) {
    fail("its header is not valid JSON (near byte ", error.byte, ")");
  } catch (const json::exception&) {  // such as a number that no double can hold
    fail("its header is not valid JSON");
  }
  return header;
}

// The file's bytes, front to back.
class Reader {
 public:
  explicit Reader(const std::string& path) : file_(open_regular_file(path)), left_(std::filesystem::file_size(path)) {}

  std::size_t left() const { return left_; }  // bytes not yet read

  void read(void* to, std::size_t count) {
    check(count <= left_, "truncated: expected ", count, " bytes, ", left_, " remain");
    check(std::fread(to, 1, count, file_.get()) == count, "cannot be read to the end");
    left_ -= count;
  }

 private:
  File file_;
  std::size_t left_;
};

std::string read_header(Reader& reader) {
  std::uint64_t length = 0;
  check(reader.left() >= length_bytes, "not a safetensors file: shorter than ", length_bytes, " bytes");
  reader.read(&length, length_bytes);
  check(length <= max_header_bytes, "not a safetensors file: its header would have ", length, " bytes");
  check(length <= reader.left(), "truncated in its header: expected ", length, " bytes, ", reader.left(), " remain");
  std::string text(length, ' ');
  reader.read(text.data(), length);
  return text;
}

// Checks that the tensors fill the data exactly; returns them in order of data.
std::vector<std::size_t> data_order(const std::vector<Entry>& entries, std::size_t data_bytes) {
  std::vector<std::size_t> order(entries.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return std::pair(entries[i].begin, entries[i].end); });
  std::int64_t position = 0;
  for (const std::size_t i : order) {
    const auto& [name, type, shape, begin, end] = entries[i];
    check(begin >= position, where(name), "its data overlaps another's");
    check(begin == position, where(name), "there is a gap before its data");
    check(static_cast<std::size_t>(end) <= data_bytes, where(name), "its data runs past the end of the file");
    position = end;
  }
  check(static_cast<std::size_t>(position) == data_bytes, "longer than its header announces (", position,
        " bytes of data)");
  return order;
}

// Allocates the tensor of an entry.
Tensor make_tensor(const Entry& entry) {
  const std::int64_t bytes = entry.end - entry.begin, size = static_cast<std::int64_t>(entry.type->size);
  check(bytes % size == 0 && bytes / size == entry.shape.numel(), where(entry.name), "shape ", entry.shape, " of ",
        entry.type->name, " does not fit its ", bytes, " bytes of data");
  return Tensor::empty(entry.shape, {.dtype = entry.type->dtype});
}

// Reads the elements of an entry into its tensor. Returns their part of the checksum.
std::uint64_t read_elements(const Entry& entry, Reader& reader, const Tensor& tensor) {
  const auto count = static_cast<std::size_t>(entry.end - entry.begin);
  const auto convert = entry.type->convert;
  std::vector<std::byte> to_convert(convert ? count : 0);
  std::byte* const memory = convert ? to_convert.data() : tensor.mutable_data<std::byte>();
  reader.read(memory, count);
  if (convert) with_prefix(where(entry.name), [&] { convert(to_convert, tensor); });
  return checksum_of(entry.name, entry.type->name, entry.shape, {memory, count});
}

std::span<const std::byte> bytes_of(const Tensor& tensor) { return {tensor.data<std::byte>(), tensor.num_bytes()}; }

const char* stored_as(DType dtype) {
  return std::ranges::find_if(stored_types, [&](const auto& stored) { return stored.dtype == dtype; })->name;
}

// The header's text for tensors whose data starts at these offsets.
std::string header_text(const std::vector<NamedTensor>& tensors, const std::vector<std::size_t>& offsets,
                        const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  text += json(metadata_key).dump() + ':' + json(metadata).dump();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& tensor = tensors[i].tensor;
    text += ',' + json(tensors[i].name).dump() + R"(:{"dtype":")" + stored_as(tensor.dtype()) + R"(","shape":)";
    text += json(std::vector(tensor.shape().begin(), tensor.shape().end())).dump() + R"(,"data_offsets":)";
    text += json({offsets[i], offsets[i] + bytes_of(tensor).size()}).dump() + '}';
  }
  text += '}';
  text.append(-(length_bytes + text.size()) % 64, ' ');
  return text;
}

void check_names(const std::string& path, const std::vector<NamedTensor>& tensors) {
  std::set<std::string> names;
  for (const NamedTensor& named : tensors) {
    const auto where = [&] { return path + ": cannot be written: tensor " + in_quotes(named.name); };
    check(named.tensor.defined(), where(), " is undefined");
    check(named.name != metadata_key, where(), ": the name is reserved");
    check(names.insert(named.name).second, where(), " is given twice");
  }
}

}  // namespace

SafeTensors read_safetensors(const std::string& path) {
  Reader reader(path);
  return with_prefix(path + ": ", [&] {
    Header header = parse_header(read_header(reader));
    const std::vector<std::size_t> order = data_order(header.entries, reader.left());
    SafeTensors result{.tensors = {}, .metadata = std::move(header.metadata)};
    for (const Entry& entry : header.entries) result.tensors.push_back({entry.name, make_tensor(entry)});
    std::uint64_t checksum = 0;
    for (const std::size_t i : order) checksum += read_elements(header.entries[i], reader, result.tensors[i].tensor);
    const auto saved = result.metadata.extract(checksum_key);
    check(saved.empty() || saved.mapped() == checksum_text(checksum),
          "damaged: its tensors do not match the checksum in its metadata; a program that changes them on purpose must "
          "remove ",
          checksum_key);
    return result;
  });
}

void write_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                       std::map<std::string, std::string> metadata) {
  check_names(path, tensors);
  std::vector<NamedTensor> host;
  for (const NamedTensor& named : tensors) host.push_back({named.name, named.tensor.to(cpu)});
  std::vector<std::size_t> order(host.size()), offsets(host.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater{}, [&](std::size_t i) { return size_of(host[i].tensor.dtype()); });
  std::vector<std::span<const std::byte>> parts(2);
  std::size_t position = 0;
  std::uint64_t checksum = 0;
  for (const std::size_t i : order) {
    const auto& [name, tensor] = host[i];
    offsets[i] = position;
    parts.push_back(bytes_of(tensor));
    position += parts.back().size();
    checksum += checksum_of(name, stored_as(tensor.dtype()), tensor.shape(), parts.back());
  }
  metadata[checksum_key] = checksum_text(checksum);
  std::string header;
  try {
    header = header_text(host, offsets, metadata);
  } catch (const json::exception&) {
    fail(path, ": cannot be written: a name or a metadata text is not UTF-8");
  }
  check(header.size() <= max_header_bytes, path, ": cannot be written: its header would have ", header.size(),
        " bytes");
  const std::uint64_t length = header.size();
  parts[0] = std::as_bytes(std::span(&length, 1));
  parts[1] = std::as_bytes(std::span(header));
  write_file_atomically(path, parts);
}

}  // namespace mixgrad

#else

namespace mixgrad {

constexpr const char* missing = "built without nlohmann-json or xxHash: packages nlohmann-json3-dev and libxxhash-dev";

SafeTensors read_safetensors(const std::string& path) {
  fail(path, ": this build cannot read safetensors files (", missing, ")");
}

void write_safetensors(const std::string& path, const std::vector<NamedTensor>&, std::map<std::string, std::string>) {
  fail(path, ": this build cannot write safetensors files (", missing, ")");
}

}  // namespace mixgrad

#endif
