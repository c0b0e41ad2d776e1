// SPDX-License-Identifier: BSD-3-Clause
#include "switch/control_server.h"

#include "dataplane/unix_listener.h"

#include <filesystem>
#include <optional>
#include <set>
#include <stdexcept>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

namespace weft::vswitch {

namespace asio = boost::asio;
using Protocol = asio::local::stream_protocol;
using Json = nlohmann::json;

namespace {

Json error_document(const std::string& message, int exit) {
  return {{"error", {{"message", message}, {"exit", exit}}}};
}

void make_folder_of(const std::string& path) {
  std::error_code ec;  // binding says what is wrong
  const auto parent = std::filesystem::path(path).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, ec);
}

}  // namespace

void ControlServer::Respond::operator()(Json result) const { send_({{"result", std::move(result)}}); }
void ControlServer::Respond::refuse(const CommandError& error) const {
  send_(error_document(error.what(), error.exit));
}

struct ControlServer::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::io_context& loop, Handler h) : io(loop), handler(std::move(h)) {}
  void add(dataplane::UniqueFd fd);

  asio::io_context& io;
  Handler handler;
  std::set<std::shared_ptr<Connection>> connections;
  std::optional<dataplane::UnixListener> listener;
};

/// One client. A request is answered before the next is read, so answers keep their order.
class ControlServer::Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Protocol::socket socket, std::weak_ptr<Impl> server)
      : socket_(std::move(socket)), server_(std::move(server)), input_(kMaxRequest) {}

  void read() {
    asio::async_read_until(
        socket_, input_, '\n', [self = shared_from_this()](boost::system::error_code ec, size_t size) {
          if (ec == asio::error::not_found) return self->answer(error_document("request too long", 2), true);
          if (ec) return self->end();
          const auto data = self->input_.data();
          std::string line(asio::buffers_begin(data), asio::buffers_begin(data) + static_cast<std::ptrdiff_t>(size));
          self->input_.consume(size);
          self->run(line);
        });
  }
  void close() {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

 private:
  void run(const std::string& line) {
    const auto server = server_.lock();
    if (!server) return;
    Json request = Json::parse(line, nullptr, false);
    if (!request.is_object() || !request.contains("command") || !request["command"].is_string())
      return answer(error_document("not a request: want {\"command\": …, \"args\": {…}} on one line", 2), true);
    Json arguments = Json::object();
    if (const auto it = request.find("args"); it != request.end()) arguments = std::move(*it);
    if (!arguments.is_object()) return answer(error_document("'args' is to be an object", 2), false);
    try {
      server->handler(request["command"].get<std::string>(), arguments,
                      Respond([weak = weak_from_this()](const Json& document) {
                        if (const auto self = weak.lock()) self->answer(document, false);
                      }));
    } catch (const CommandError& e) {
      answer(error_document(e.what(), e.exit), false);
    } catch (const Json::exception& e) {
      answer(error_document(fmt::format("wrong arguments: {}", e.what()), 2), false);
    } catch (const std::exception& e) {
      answer(error_document(e.what(), 1), false);
    }
  }

  void answer(const Json& document, bool is_last) {
    output_ = document.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    asio::async_write(socket_, asio::buffer(output_),
                      [self = shared_from_this(), is_last](boost::system::error_code ec, size_t) {
                        if (ec || is_last) return self->end();
                        self->read();
                      });
  }

  void end() {
    close();
    if (const auto server = server_.lock()) server->connections.erase(shared_from_this());
  }

  Protocol::socket socket_;
  std::weak_ptr<Impl> server_;
  asio::streambuf input_;
  std::string output_;
};

void ControlServer::Impl::add(dataplane::UniqueFd fd) {
  if (connections.size() >= kMaxConnections) return;
  Protocol::socket socket(io);
  boost::system::error_code ec;
  if (socket.assign(Protocol(), fd.get(), ec)) return;
  (void)fd.release();
  const auto connection = std::make_shared<Connection>(std::move(socket), weak_from_this());
  connections.insert(connection);
  connection->read();
}

ControlServer::ControlServer(asio::io_context& io, std::string path, const SocketAccess& access, Handler handler)
    : impl_(std::make_shared<Impl>(io, std::move(handler))) {
  make_folder_of(path);
  impl_->listener.emplace(io,
                          dataplane::UnixListenerConfig{"control socket", path, access.owner, access.group,
                                                        static_cast<mode_t>(access.mode)},
                          [impl = impl_.get()](dataplane::UniqueFd fd) { impl->add(std::move(fd)); });
}

ControlServer::~ControlServer() {
  impl_->listener.reset();
  for (const auto& c : impl_->connections) c->close();
  impl_->connections.clear();
}

}  // namespace weft::vswitch
