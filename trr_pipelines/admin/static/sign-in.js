// Takes a token after the # out of the address, fills it in, and shows whose it is.

const token = new URLSearchParams(location.hash.slice(1)).get("access_token");
if (token) {
  history.replaceState(null, "", location.pathname + location.search);
  const input = document.querySelector('input[name="token"]');
  input.value = token;
  document.getElementById("token-field").hidden = true;
  const who = document.getElementById("who");
  who.hidden = false;
  who.textContent = `as ${emailOf(token) || "the account of this link"}`;
  document.querySelector("button.primary").focus();
}

function emailOf(token) {
  try {
    const part = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(atob(part)).email;
  } catch {
    return "";
  }
}
