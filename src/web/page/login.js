/**
 * Who is here: the session that there is already, or a form to log in or to register by.
 */
import { find, sentence } from '/page/element.js';

const AGAIN_MS = 2000;

const MODES = {
  login: { title: 'Log in to loiter', enter: 'Log in', text: 'New here?', other: 'Register', autocomplete: 'current-password' },
  register: { title: 'Register at loiter', enter: 'Register', text: 'Registered already?', other: 'Log in', autocomplete: 'new-password' },
};

/** The session's user; undefined where there is no session. Asks until it is answered; `onTrouble` is told each time that it is not. */
export async function sessionUser(client, onTrouble) {
  for (;;) {
    try {
      return await client.whoami();
    } catch (error) {
      if (error.code === 'no_session') return undefined;
      onTrouble(error);
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}

/** Shows the form, and says `why`. Resolves to who has logged in. */
export function logIn(client, why = '') {
  const view = find('login');
  const form = view.querySelector('form');
  view.hidden = false;
  find('login-error').textContent = why;
  show('login');
  find('username').focus();
  return new Promise((resolve) => {
    find('other').onclick = () => {
      find('login-error').textContent = '';
      show(form.dataset.mode === 'login' ? 'register' : 'login');
      find('username').focus();
    };
    form.onsubmit = async (event) => {
      event.preventDefault();
      const user = await enter(client, form);
      if (!user) return;
      view.hidden = true;
      form.reset();
      resolve(user);
    };
  });
}

function show(mode) {
  const { title, enter, text, other, autocomplete } = MODES[mode];
  find('login').querySelector('form').dataset.mode = mode;
  find('login-title').textContent = title;
  find('enter').textContent = enter;
  find('other-text').textContent = text;
  find('other').textContent = other;
  find('password').autocomplete = autocomplete;
}

/** The user, or undefined after having said why not. */
async function enter(client, form) {
  const { username: given, password } = Object.fromEntries(new FormData(form));
  // No name ends with a space, and many a keyboard adds one.
  const username = given.trim();
  const error = find('login-error');
  error.textContent = '';
  find('enter').disabled = true;
  try {
    if (form.dataset.mode === 'register') await client.register(username, password);
    return await client.login(username, password);
  } catch (failure) {
    error.textContent = sentence(failure);
    find(failure.code === 'bad_credentials' ? 'password' : 'username').focus();
    return undefined;
  } finally {
    find('enter').disabled = false;
  }
}
