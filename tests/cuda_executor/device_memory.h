// Device and pinned memory: blocks of the heap, each on its own, so that AddressSanitizer sees an overrun to the byte.
#pragma once

#include <cstddef>

namespace executor {

enum class Residence { device, pinned, pageable };
Residence residence(const void* memory);  // of a byte; one past the end of a block still counts as inside
// False when [memory, memory + bytes) begins in a block of the device or of pinned memory and runs past its end.
bool range_is_valid(const void* memory, std::size_t bytes);

// While it lives, device memory can be accessed; else AddressSanitizer reports whoever does, which is host code.
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
};

// While it lives, or until end(), device memory cannot be accessed inside a DeviceAccess either: by a kernel that has
// not waited for the one before it.
class NoDeviceAccess {
 public:
  NoDeviceAccess();
  ~NoDeviceAccess() { end(); }
  NoDeviceAccess(const NoDeviceAccess&) = delete;
  NoDeviceAccess& operator=(const NoDeviceAccess&) = delete;
  void end();

 private:
  bool ended_ = false;
};

}  // namespace executor
