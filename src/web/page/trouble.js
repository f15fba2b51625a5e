/**
 * The bar at the top for trouble: that the server does not answer, when it is tried again, and a button to try at once.
 *
 * Those who listen are told that there is trouble and that it is over, and not each second between.
 */
import { announce, find } from '/page/element.js';

const SECOND_MS = 1000;

let timer;

/** Says what is wrong, or by an empty text that nothing is. */
export function showTrouble(text) {
  clearInterval(timer);
  find('trouble-text').textContent = text;
  find('trouble-next').textContent = '';
  find('retry').hidden = true;
}

/** What a following tells of itself: trouble is from the first failure until the server has answered. */
export function showState(state, waitMs) {
  const isTrouble = find('trouble-text').textContent !== '';
  if (state === 'live') {
    if (isTrouble) announce('Connected again.');
    showTrouble('');
  } else if (state === 'waiting') {
    // It is told once: what stays as it is is not written again.
    if (!isTrouble) showTrouble('Connecting again');
    find('retry').hidden = waitMs === undefined;
    countDown(Date.now() + (waitMs ?? 0));
  } else if (isTrouble) {
    countDown(0);
  }
}

function countDown(dueMs) {
  const show = () => {
    const seconds = Math.ceil((dueMs - Date.now()) / SECOND_MS);
    find('trouble-next').textContent = seconds > 0 ? `in ${seconds} s` : '…';
    if (seconds <= 0) clearInterval(timer);
  };
  clearInterval(timer);
  timer = setInterval(show, SECOND_MS);
  show();
}
