// Requests to this app's own routes. A refusal becomes an Error whose message is for people.

export class Problem extends Error {
  constructor(status, message, answer) {
    super(message);
    this.status = status;
    this.answer = answer;
  }
}

const token = () => document.querySelector('meta[name="csrf-token"]')?.content ?? "";

export const signInAddress = () =>
  `/admin/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`;

// `body` is sent as JSON, or as it is when it is a Blob. Resolves to {data, etag}.
export async function send(method, path, body, headers = {}) {
  const isBlob = body instanceof Blob;
  const type = isBlob ? body.type || "application/octet-stream" : "application/json";
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers: { ...(body === undefined ? {} : { "Content-Type": type }), "X-CSRF-Token": token(), ...headers },
      body: body === undefined ? undefined : isBlob ? body : JSON.stringify(body),
      credentials: "same-origin",
      redirect: "error",
    });
  } catch {
    throw new Problem(0, "The app is not reachable.");
  }
  let data = null;
  try {
    data = await answer.json();
  } catch {
    // No JSON: what the status says has to do.
  }
  if (!answer.ok) throw new Problem(answer.status, told(answer.status, data), answer);
  return { data, etag: answer.headers.get("etag") };
}

export function told(status, data) {
  if (status === 401) return "Your session has expired.";
  return data?.detail || `The request failed with ${status}.`;
}
