// HttpServer: a server on 127.0.0.1 that answers every request as a test likes, well or badly.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace mixgrad::test {

struct HttpRequest {
  std::string target;      // "/file.tgz"
  std::int64_t first = 0;  // byte asked for (Range: bytes=first-)
};

class HttpConnection {
 public:
  explicit HttpConnection(int socket) : socket_(socket) {}

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return;  // the client has gone
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  // "send_head("200 OK", 10)": the head of an answer with so many bytes to follow.
  void send_head(const std::string& status, std::size_t length, const std::string& more = "") {
    send("HTTP/1.1 " + status + "\r\nConnection: close\r\nContent-Length: " + std::to_string(length) + "\r\n" + more +
         "\r\n");
  }
  // The body as an honest server sends it: from the byte asked for.
  void send_file(const HttpRequest& request, const std::string& body) {
    const auto first = static_cast<std::size_t>(request.first);
    if (first >= body.size()) return send_head("416 Range Not Satisfiable", 0);
    const std::string range = "Content-Range: bytes " + std::to_string(first) + "-" + std::to_string(body.size() - 1) +
                              "/" + std::to_string(body.size()) + "\r\n";
    send_head(first > 0 ? "206 Partial Content" : "200 OK", body.size() - first, first > 0 ? range : "");
    send(std::string_view(body).substr(first));
  }
  void wait_until_client_leaves() {
    pollfd events{socket_, POLLRDHUP, 0};
    ::poll(&events, 1, 60'000);
  }

 private:
  int socket_;
};

class HttpServer {
 public:
  using Answer = std::function<void(const HttpRequest& request, HttpConnection& connection)>;

  explicit HttpServer(Answer answer) : answer_(std::move(answer)), socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    setenv("no_proxy", "127.0.0.1", 1);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(socket_, generic, size) != 0 || ::listen(socket_, 8) != 0 || ::getsockname(socket_, generic, &size) != 0)
      throw std::runtime_error("cannot serve on 127.0.0.1");
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~HttpServer() {
    ::shutdown(socket_, SHUT_RDWR);  // ends accept()
    thread_.join();
    ::close(socket_);
  }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string address(const std::string& target) const { return "http://127.0.0.1:" + std::to_string(port_) + target; }
  // Those so far.
  std::vector<HttpRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    for (int client = 0; (client = ::accept(socket_, nullptr, nullptr)) >= 0; ::close(client)) {
      const HttpRequest request = read_request(client);
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      HttpConnection connection(client);
      answer_(request, connection);
    }
  }
  static HttpRequest read_request(int client) {
    std::string text;
    char buffer[4096];
    while (text.find("\r\n\r\n") == std::string::npos) {
      const ssize_t count = ::recv(client, buffer, sizeof buffer, 0);
      if (count <= 0) break;
      text.append(buffer, static_cast<std::size_t>(count));
    }
    HttpRequest request;
    const std::size_t begin = text.find(' ') + 1, range = text.find("Range: bytes=");
    request.target = text.substr(begin, text.find(' ', begin) - begin);
    if (range != std::string::npos) request.first = std::atoll(text.c_str() + range + 13);
    return request;
  }

  Answer answer_;
  int socket_;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::vector<HttpRequest> requests_;
  std::thread thread_;
};

}  // namespace mixgrad::test
