/** How far a command is kept from the machine, where it is not docker's default: of `--cap-add`, `--cap-drop` and `--security-opt`. */
export interface Confinement {
  /** `CAP_CHOWN`, or `ALL` that the machine has. */
  readonly addCapabilities: readonly string[];
  /** They win over added ones; `ALL`: over the default alone. */
  readonly dropCapabilities: readonly string[];
  /** Any system call may be made. */
  readonly isSeccompOff: boolean;
  /** Programs do not get the privileges that their files have (setuid bits, file capabilities). */
  readonly hasNoNewPrivileges: boolean;
}
