// Requests to this app's own routes. An unsuccessful response becomes an Error whose message can be shown.

export class Problem extends Error {
  constructor(status, message, response) {
    super(message);
    this.status = status;
    this.response = response;
  }
}

export const signInAddress = () =>
  `/admin/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`;

// Sends `body` as JSON, or unchanged if it is a Blob. Resolves to {data, etag}.
export async function send(method, path, body, headers = {}) {
  const isBlob = body instanceof Blob;
  const type = isBlob ? body.type || "application/octet-stream" : "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: { ...(body === undefined ? {} : { "Content-Type": type }), ...headers },
      body: body === undefined ? undefined : isBlob ? body : JSON.stringify(body),
      credentials: "same-origin",
      redirect: "error",
    });
  } catch {
    throw new Problem(0, "The app is not reachable.");
  }
  let data = null;
  try {
    data = await response.json();
  } catch {
    // Not JSON: the message is made from the status.
  }
  if (!response.ok) throw new Problem(response.status, messageOf(response.status, data), response);
  return { data, etag: response.headers.get("etag") };
}

export function messageOf(status, data) {
  if (status === 401) return "Your session has expired.";
  return data?.detail || `The request failed with ${status}.`;
}
