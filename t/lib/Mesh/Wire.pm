package Mesh::Wire;

# A provider of any protocol, for tests of declared ones: one forked process
# that cuts frames off what it reads and answers each as a sub says.
#
#   my $p = Mesh::Wire->new(cut => sub { my ($bytes) = @_; ... length of the
#       first frame, or 0 when it is not complete },
#       answer => sub { my ($frame, $state) = @_; ... bytes, seconds to wait });
#
# $state is a hash of the connection, with its number as "conn".  What the
# sub returns besides is written first to log(), one line a frame.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(time sleep);

use constant LIFETIME => 300;


sub new {
    my ($class, %o) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64,
                                       ReuseAddr => 1) // die "listen: $!";
    pipe my $read, my $write or die "pipe: $!";

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP ALRM __DIE__ __WARN__);
        $SIG{PIPE} = 'IGNORE';
        alarm LIFETIME;
        close $read;
        $write->autoflush(1);
        eval { serve($listen, $write, %o); 1 } or print STDERR "wire: $@";
        POSIX::_exit(0);
    }

    close $write;

    return bless { pid => $pid, port => $listen->sockport, read => $read,
                   log => '' }, $class;
}


sub port { $_[0]{port} }
sub address { "127.0.0.1:$_[0]{port}" }


sub serve {
    my ($listen, $log, %o) = @_;

    my $select = IO::Select->new($listen);
    my (%conns, @later, $n);

    while (1) {
        my $wait = @later ? $later[0][0] - time : 1;

        for my $s ($select->can_read($wait > 0 ? $wait : 0)) {

            if ($s == $listen) {
                my $c = $listen->accept or next;
                $select->add($c);
                $conns{$c} = { in => '', state => { conn => ++$n } };
                next;
            }

            my $c = $conns{$s};

            unless (sysread $s, $c->{in}, 65536, length $c->{in}) {
                $select->remove($s);
                delete $conns{$s};
                close $s;
                next;
            }

            while (my $size = $o{cut}->($c->{in})) {
                my $frame = substr $c->{in}, 0, $size, '';
                my ($bytes, $delay, $said) = $o{answer}->($frame, $c->{state});

                print $log $said // unpack('H*', $frame), "\n";
                push @later, [time + ($delay // 0), $s, $bytes]
                    if defined $bytes;
            }
        }

        @later = sort { $a->[0] <=> $b->[0] } @later;

        while (@later && $later[0][0] <= time) {
            my (undef, $s, $bytes) = @{ shift @later };
            syswrite $s, $bytes if $conns{$s};
        }
    }
}


# lines so far

sub log {
    my ($self) = @_;

    my $select = IO::Select->new($self->{read});

    while ($select->can_read(0)) {
        sysread $self->{read}, $self->{log}, 65536, length $self->{log}
            or last;
    }

    return split /\n/, $self->{log};
}


sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} // return;
    kill 'KILL', $pid;
    waitpid $pid, 0;
}


sub DESTROY {
    local ($?, $!);
    $_[0]->stop;
}


1;
