// SPDX-License-Identifier: MIT OR Apache-2.0
//! HTTP in front of the store: each request is matched with the script and, if a rule takes
//! it, spoiled on its way in or out. Ending a connection without an answer is done by
//! returning an error, which makes hyper close the socket.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::service::S3Service;
use s3s::{Body, HttpError, HttpResponse};
use tokio::net::{TcpListener, TcpStream};

use super::faults::{Fault, IgnoreCondition, Refusal, Script};

/// Serves until dropped.
pub(super) async fn serve(listener: TcpListener, service: S3Service, script: Arc<Script>) {
    loop {
        // Out of descriptors is the only failure here; the next accept may work.
        let Ok((socket, _)) = listener.accept().await else { continue };
        tokio::spawn(connection(socket, service.clone(), Arc::clone(&script)));
    }
}

async fn connection(socket: TcpStream, service: S3Service, script: Arc<Script>) {
    let _nagle = socket.set_nodelay(true);
    let Ok(twin) = socket.as_fd().try_clone_to_owned() else { return };
    let twin = Arc::new(twin);
    let answer = service_fn(|request| {
        let (service, script, twin) = (service.clone(), Arc::clone(&script), Arc::clone(&twin));
        async move { exchange(request, &service, &script, &twin).await }
    });
    let serve =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), answer);
    let _closed = serve.await;
}

async fn exchange(
    mut request: Request<Incoming>,
    service: &S3Service,
    script: &Script,
    socket: &OwnedFd,
) -> Result<HttpResponse, HttpError> {
    match script.take(request.method(), request.uri(), request.headers()) {
        None => carry_out(service, request).await,
        Some(Fault::Delay(time)) => {
            tokio::time::sleep(time).await;
            service.call(request.map(Body::from)).await
        }
        Some(Fault::Refuse(refusal)) => {
            let is_head = request.method() == Method::HEAD;
            let _body = request.into_body().collect().await;
            Ok(refuse(refusal, is_head))
        }
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::ResetMidBody) => {
            let _first = request.body_mut().frame().await;
            reset_on_close(socket);
            Err(hang_up())
        }
        Some(Fault::LoseResponse) => {
            let _stored = service.call(request.map(Body::from)).await?;
            Err(hang_up())
        }
        Some(Fault::FlipByte) => service.call(flip_byte(request).await?).await,
        Some(Fault::CutResponse) => cut(service.call(request.map(Body::from)).await?).await,
        Some(Fault::IgnoreCondition) => {
            request.extensions_mut().insert(IgnoreCondition);
            service.call(request.map(Body::from)).await
        }
    }
}

/// A request that has arrived is carried out even if its sender is gone by then, as the real
/// service does; dropped halfway, `s3s-fs` would leave an object without its metadata.
async fn carry_out(
    service: &S3Service,
    request: Request<Incoming>,
) -> Result<HttpResponse, HttpError> {
    let service = service.clone();
    let work = async move { service.call(request.map(Body::from)).await };
    tokio::spawn(work).await.expect("the service does not panic")
}

fn hang_up() -> HttpError {
    HttpError::new(Box::new(io::Error::other("the script says so")))
}

/// Makes the coming close a reset instead of an orderly end.
fn reset_on_close(socket: &OwnedFd) {
    let _closed = rustix::net::sockopt::set_socket_linger(socket, Some(std::time::Duration::ZERO));
}

fn refuse(refusal: Refusal, is_head: bool) -> HttpResponse {
    let Refusal { status, code, message, extra } = refusal;
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
         <Message>{message}</Message>{extra}<RequestId>4442587FB7D0A2F9</RequestId></Error>"
    );
    let body = if is_head { Body::empty() } else { Body::from(xml) };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/xml"));
    headers.insert("x-amz-request-id", HeaderValue::from_static("4442587FB7D0A2F9"));
    if status == 301 {
        headers.insert("x-amz-bucket-region", HeaderValue::from_static("eu-west-1"));
    }
    response
}

async fn flip_byte(request: Request<Incoming>) -> Result<Request<Body>, HttpError> {
    let (parts, body) = request.into_parts();
    let whole = body.collect().await.map_err(|error| HttpError::new(Box::new(error)))?;
    let mut bytes = whole.to_bytes().to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// The first half of the body under a header that promises all of it.
async fn cut(response: HttpResponse) -> Result<HttpResponse, HttpError> {
    let (mut parts, body) = response.into_parts();
    let whole = body.collect().await.map_err(HttpError::new)?.to_bytes();
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(whole.len().max(2)));
    let half = CutBody(Some(whole.slice(..whole.len() / 2)));
    Ok(Response::from_parts(parts, Body::http_body_unsync(half)))
}

/// Gives what it holds, then breaks.
struct CutBody(Option<Bytes>);

impl HttpBody for CutBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let next = match self.0.take() {
            Some(bytes) => Ok(Frame::data(bytes)),
            None => Err(io::Error::other("the script says so")),
        };
        Poll::Ready(Some(next))
    }
}
