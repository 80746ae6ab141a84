// A token that a sign-in hands over behind the #: taken out of the address, and shown whose it is.

const given = new URLSearchParams(location.hash.slice(1)).get("access_token");
if (given) {
  history.replaceState(null, "", location.pathname + location.search);
  const input = document.querySelector('input[name="token"]');
  input.value = given;
  document.getElementById("token-field").hidden = true;
  const who = document.getElementById("who");
  who.hidden = false;
  who.textContent = `as ${emailOf(given) || "the account of this link"}`;
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
